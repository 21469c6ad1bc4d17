"""How a new file comes to be, and what becomes of the one that was there."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stream_audio.files import create as module
from stream_audio.files import free_names
from stream_audio.files.create import create
from stream_audio.files.free_names import IfExists
from stream_audio.files.in_use import identity
from stream_audio.files.new_file import Whereabouts


def filled(path, text="new", **settings):
    """Create a file, write to it, and give it its name."""
    file = create(path, **settings)
    os.write(file.descriptor, text.encode())
    os.close(file.descriptor)
    file.publish()
    return file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


# ---- names that are taken ----


@pytest.mark.parametrize("temporary", [False, True])
def test_an_existing_file_is_an_error(tmp_path, temporary):
    path = tmp_path / "a.wav"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        create(path, temporary=temporary)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("temporary", [False, True])
def test_an_existing_file_is_replaced_if_asked(tmp_path, temporary):
    path = tmp_path / "a.wav"
    path.write_text("old and longer")
    file = filled(path, if_exists=IfExists.OVERWRITE, temporary=temporary)
    assert file.path == path
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("temporary", [False, True])
def test_another_name_is_found_if_asked(tmp_path, temporary):
    path = tmp_path / "a.wav"
    for expected in ("a.wav", "a-1.wav", "a-2.wav"):
        file = filled(path, expected, if_exists=IfExists.RENAME, temporary=temporary)
        assert file.path == tmp_path / expected
    assert [(tmp_path / name).read_text() for name in ("a.wav", "a-1.wav", "a-2.wav")] == [
        "a.wav",
        "a-1.wav",
        "a-2.wav",
    ]


def test_there_is_an_end_to_the_search_for_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr(free_names, "MAX_NUMBER", 2)
    for _ in range(3):
        filled(tmp_path / "a.wav", if_exists=IfExists.RENAME)
    with pytest.raises(FileExistsError, match="2 numbered names"):
        create(tmp_path / "a.wav", if_exists=IfExists.RENAME)


# ---- a file that is replaced ----


OVERWRITE = IfExists.OVERWRITE


def test_the_old_file_is_there_until_the_new_one_takes_its_name(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    file = create(path, if_exists=OVERWRITE)
    os.write(file.descriptor, b"new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.wav", "a.wav.part"]
    assert file.whereabouts() is Whereabouts.IN_PLACE
    file.take_name()
    assert path.read_text() == "new"
    assert file.whereabouts() is Whereabouts.IN_PLACE  # it was not moved by anyone
    assert names(tmp_path) == ["a.wav"]
    os.close(file.descriptor)
    file.publish()


def test_what_is_taken_back_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    before = path.stat()
    file = create(path, if_exists=OVERWRITE)
    os.close(file.descriptor)
    file.remove()
    assert names(tmp_path) == ["a.wav"]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_hard_links_keep_what_was_there(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    os.link(path, tmp_path / "b.wav")
    filled(path, if_exists=OVERWRITE)
    assert ((tmp_path / "b.wav").read_text(), path.read_text()) == ("old", "new")


def test_a_name_of_the_greatest_length_can_be_replaced(tmp_path):
    path = tmp_path / ("é" * 125 + "a.wav")  # of 255 bytes
    path.write_text("old")
    filled(path, if_exists=OVERWRITE)
    assert path.read_text() == "new"
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("if_exists", IfExists)
def test_a_name_that_is_too_long_is_found_before_the_end(tmp_path, if_exists):
    with pytest.raises(OSError, match="long") as caught:
        create(tmp_path / ("a" * 252 + ".wav"), temporary=True, if_exists=if_exists)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert names(tmp_path) == []


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize(("mode", "expected"), [(None, 0o640), (0o604, 0o604)])
def test_owner_and_permissions_are_kept(tmp_path, temporary, mode, expected):
    path = tmp_path / "a.wav"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
    before = path.stat()
    filled(path, if_exists=OVERWRITE, temporary=temporary, mode=mode)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == expected
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_what_may_not_be_given_away_lets_nobody_else_in(tmp_path, monkeypatch):
    """The old group may read; ours is another, which may not."""

    def refuse(*args):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    path = tmp_path / "a.wav"
    path.write_text("old")
    path.chmod(0o664)
    old = os.stat_result([*path.stat()[:4], 1234, 5678, *path.stat()[6:]])
    monkeypatch.setattr(os, "fchown", refuse)
    file = create(tmp_path / "b.wav")
    module._permit(file.descriptor, None, old)
    assert stat.S_IMODE(os.fstat(file.descriptor).st_mode) == 0o644
    os.close(file.descriptor)


def test_a_private_file_is_replaced_by_one_that_was_never_open_to_others(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_text("old")
    path.chmod(0o600)
    asked = []
    original = os.open

    def watch(path, flags, mode=0o777):
        if flags & os.O_CREAT:
            asked.append(mode)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", watch)
    os.close(create(path, if_exists=OVERWRITE).descriptor)
    assert asked == [0o600]


# ---- a file that somebody else writes, or reads ----


@pytest.mark.parametrize("way", ["name", "link", "hard link"])
@pytest.mark.parametrize("temporary", [False, True])
def test_a_file_that_is_being_written_is_not_replaced(tmp_path, way, temporary):
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    writing = create(path)
    if way == "link":
        other.symlink_to(path)
    elif way == "hard link":
        os.link(path, other)
    else:
        other = path
    before = names(tmp_path)
    with pytest.raises(OSError, match="another recording is writing it") as caught:
        create(other, if_exists=OVERWRITE, temporary=temporary)
    assert caught.value.errno == errno.EBUSY
    assert names(tmp_path) == before
    os.close(writing.descriptor)
    writing.publish()
    filled(other, if_exists=OVERWRITE, temporary=temporary)  # now it may be


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"if_exists": OVERWRITE}, {"if_exists": OVERWRITE}),
        ({"if_exists": OVERWRITE}, {"if_exists": OVERWRITE, "temporary": True}),
        ({"if_exists": OVERWRITE, "temporary": True}, {"if_exists": OVERWRITE}),
        ({"temporary": True}, {"if_exists": OVERWRITE}),
        ({"temporary": True}, {"temporary": True}),
    ],
)
def test_a_name_that_another_will_take_is_refused(tmp_path, old, first, second):
    path = tmp_path / "a.wav"
    if old:
        if "if_exists" not in first:
            return  # is refused itself
        path.write_text("old")
    one = create(path, **first)
    with pytest.raises(OSError, match="another recording") as caught:
        create(path, **second)
    assert caught.value.filename == str(path)
    os.close(one.descriptor)
    one.remove()
    assert names(tmp_path) == (["a.wav"] if old else [])


def test_what_is_begun_meanwhile_under_that_name_is_not_replaced(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path, if_exists=OVERWRITE)
    other = create(path)
    with pytest.raises(OSError, match="another recording"):
        file.take_name()
    os.close(other.descriptor)
    other.publish()
    file.take_name()
    assert names(tmp_path) == ["a.wav"]
    os.close(file.descriptor)
    file.publish()


def test_another_process_is_seen_too(tmp_path):
    path = tmp_path / "a.wav"
    program = f"""
import os, sys
from pathlib import Path
from stream_audio.files.create import create
create(Path({str(path)!r}))
print(flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(OSError, match="another recording"):
            create(path, if_exists=OVERWRITE)
        writer.kill()  # which ends its lock
    filled(path, if_exists=OVERWRITE)


def test_a_child_that_lives_on_holds_nothing(tmp_path):
    """It inherits the descriptor; the end of the file is told to the system for both."""
    path = tmp_path / "a.wav"
    file = create(path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(file.descriptor)
    file.publish()
    filled(path, if_exists=OVERWRITE)
    os.close(writing)
    os.close(reading)
    os.waitpid(child, 0)


def test_what_the_session_reads_is_not_replaced(tmp_path):
    path, link = tmp_path / "a.wav", tmp_path / "b.wav"
    path.write_text("old")
    link.symlink_to(path)
    read = frozenset({identity(path.stat())})
    for target in (path, link):
        with pytest.raises(OSError, match="reads that file"):
            create(target, if_exists=OVERWRITE, read=read)
    assert names(tmp_path) == ["a.wav", "b.wav"]


def test_a_file_system_without_locks_is_recorded_to(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    filled(tmp_path / "a.wav", if_exists=OVERWRITE)


# ---- links, and what is no file ----


def test_a_link_is_not_written_through_unasked(tmp_path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(FileExistsError):
        create(tmp_path / "link.wav")
    assert not (tmp_path / "elsewhere.wav").exists()


@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_overwriting_a_link_keeps_the_link(tmp_path, temporary, dangling):
    link, target = tmp_path / "link.wav", tmp_path / "target.wav"
    link.symlink_to(target)
    if not dangling:
        target.write_text("old")
    filled(link, if_exists=IfExists.OVERWRITE, temporary=temporary)
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, kind, temporary):
    path = tmp_path / "a.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path(os.devnull)
    with pytest.raises(OSError, match=r"a\.wav|null"):
        create(path, if_exists=IfExists.OVERWRITE, temporary=temporary)
    assert not path.is_file()


# ---- permissions ----


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("temporary", [False, True])
@pytest.mark.parametrize(("mode", "expected"), [(None, 0o644), (0o600, 0o600), (0o666, 0o666)])
def test_permissions_are_as_asked(tmp_path, mode, expected, temporary):
    file = create(tmp_path / "a.wav", mode=mode, temporary=temporary)
    assert stat.S_IMODE(os.fstat(file.descriptor).st_mode) == expected
    os.close(file.descriptor)
    file.publish()
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == expected


@pytest.mark.usefixtures("umask")
def test_a_private_file_was_never_open_to_others(tmp_path, monkeypatch):
    """Not even between its creation and its change."""
    asked = []
    original = os.open

    def watch(path, flags, mode=0o777):
        asked.append(mode)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", watch)
    os.close(create(tmp_path / "a.wav", mode=0o600).descriptor)
    assert asked == [0o600]


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("temporary", [False, True])
def test_a_file_that_cannot_be_given_its_permissions_is_not_left(tmp_path, monkeypatch, temporary):
    def refuse(descriptor, mode):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(PermissionError):
        create(tmp_path / "a.wav", mode=0o600, temporary=temporary)
    assert names(tmp_path) == []
    (tmp_path / "a.wav").write_text("old")
    with pytest.raises(PermissionError):
        create(tmp_path / "a.wav", if_exists=IfExists.OVERWRITE, mode=0o600, temporary=temporary)
    assert names(tmp_path) == ["a.wav"]


def test_the_permissions_of_a_file_that_was_there_are_changed_too(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    path.chmod(0o644)
    filled(path, if_exists=IfExists.OVERWRITE, mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# ---- temporary names ----


def test_the_name_appears_with_the_complete_file(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path, temporary=True)
    assert names(tmp_path) == ["a.wav.part"]
    os.close(file.descriptor)
    file.publish()
    assert names(tmp_path) == ["a.wav"]
    file.publish()  # does nothing twice


def test_what_a_killed_process_left_is_not_touched(tmp_path):
    (tmp_path / "a.wav.part").write_text("precious")
    filled(tmp_path / "a.wav", temporary=True)
    assert (tmp_path / "a.wav.part").read_text() == "precious"
    assert (tmp_path / "a.wav").read_text() == "new"


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_that_was_taken_meanwhile_is_not_replaced(tmp_path, monkeypatch, hard_links):
    if not hard_links:  # as on FAT

        def refuse(*args):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.wav"
    file = create(path, temporary=True)
    os.close(file.descriptor)
    path.write_text("of another")
    with pytest.raises(FileExistsError):
        file.publish()
    assert path.read_text() == "of another"
    assert names(tmp_path) == ["a.wav", "a.wav.part"]
    path.unlink()
    file.publish()
    assert names(tmp_path) == ["a.wav"]


def test_a_name_that_was_taken_meanwhile_is_evaded_if_asked(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path, temporary=True, if_exists=IfExists.RENAME)
    os.close(file.descriptor)
    path.write_text("of another")
    file.publish()
    assert file.path == tmp_path / "a-1.wav"
    assert names(tmp_path) == ["a-1.wav", "a.wav"]


# ---- where is it now? ----


def test_a_file_is_found_in_its_place(tmp_path):
    file = create(tmp_path / "a.wav")
    assert file.whereabouts() is Whereabouts.IN_PLACE
    os.close(file.descriptor)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_moved_is_followed(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = create(folder / "a.wav")
    if what == "file":
        new = (folder / "a.wav").rename(folder / "b.wav")
    else:
        new = folder.rename(tmp_path / "other") / "a.wav"
    assert file.whereabouts() is Whereabouts.MOVED
    assert file.moved_to() == new
    os.close(file.descriptor)


@pytest.mark.parametrize("what", ["file", "folder", "replaced"])
def test_a_file_that_is_gone_is_missed(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = create(folder / "a.wav")
    if what == "folder":
        shutil.rmtree(folder)
    else:
        (folder / "a.wav").unlink()
    if what == "replaced":
        (folder / "a.wav").write_text("another")
    assert file.whereabouts() is Whereabouts.REMOVED
    assert file.moved_to() is None
    os.close(file.descriptor)


def test_only_the_file_that_was_created_is_removed(tmp_path):
    path = tmp_path / "a.wav"
    file = create(path)
    os.close(file.descriptor)
    file.publish()
    path.unlink()
    path.write_text("of another")  # most likely with the same number in the file system
    file.remove()
    assert path.read_text() == "of another"


def test_a_file_is_removed(tmp_path):
    file = create(tmp_path / "a.wav", temporary=True)
    os.close(file.descriptor)
    file.remove()
    assert names(tmp_path) == []
    file.remove()  # does nothing twice
