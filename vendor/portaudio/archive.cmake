# Gets PortAudio's sources: find_portaudio_source(VARIABLE) sets VARIABLE to their folder.
#
# They are the release's archive, given as STREAM_AUDIO_PORTAUDIO_ARCHIVE or fetched into
# STREAM_AUDIO_PORTAUDIO_DOWNLOADS, and nothing is done with a file whose SHA-256 is another.

set(version 19.7.0)
# The tag's archive of the project's repository, which is also Debian's source package.
set(tag_sha256 5af29ba58bbdbb7bbcefaaecc77ec8fc413f0db6f4c4e286c40c3e1b83174fa0)
set(tag_url "https://github.com/PortAudio/portaudio/archive/refs/tags/v${version}.tar.gz")
# pa_stable_v190700_20210406.tgz of the project's own site: accepted, but not fetched from there.
set(site_sha256 47efbf42c77c19a05d22e627d42873e991ec0c1357219c0d74ce6a2948cb2def)
set(debian_source "portaudio19=${version}-1")

set(STREAM_AUDIO_PORTAUDIO_ARCHIVE "" CACHE FILEPATH
  "PortAudio ${version}'s archive; empty: it is fetched")
set(STREAM_AUDIO_PORTAUDIO_DOWNLOADS "${CMAKE_CURRENT_BINARY_DIR}" CACHE PATH
  "The folder that the fetched archive is kept in")

# Debian's signed index leads to the same archive, on machines that reach only their mirror. apt
# gets lists and a state of its own, so it needs no root and changes nothing of the machine's.
function(fetch_from_debian archive)
  find_program(APT_GET apt-get)
  if(NOT APT_GET OR NOT EXISTS /etc/debian_version)
    return()
  endif()
  execute_process(
    COMMAND "${APT_GET}" indextargets --format "\$(SITE)" "Created-By: Packages" "Origin: Debian"
            "Label: Debian"
    OUTPUT_VARIABLE mirrors OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  string(REGEX MATCH "^[^\n]+" mirror "${mirrors}")
  if(NOT mirror)
    return()
  endif()
  set(state "${CMAKE_CURRENT_BINARY_DIR}/apt")
  foreach(suite forky sid)
    message(STATUS "Fetching PortAudio ${version} from Debian ${suite}")
    file(REMOVE_RECURSE "${state}")
    file(MAKE_DIRECTORY "${state}/lists/partial" "${state}/cache/archives/partial")
    file(WRITE "${state}/sources.list"
      "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
      "${mirror} ${suite} main\n")
    set(apt "${APT_GET}" -q -o "Dir::Etc::SourceList=${state}/sources.list"
      -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=${state}/lists"
      -o "Dir::Cache=${state}/cache" -o APT::Sandbox::User=)
    execute_process(COMMAND ${apt} update RESULT_VARIABLE status OUTPUT_QUIET)
    if(status EQUAL 0)
      execute_process(COMMAND ${apt} source --download-only --tar-only "${debian_source}"
        WORKING_DIRECTORY "${state}" OUTPUT_QUIET)
    endif()
    file(GLOB fetched "${state}/*.orig.tar.gz")
    if(fetched)
      file(RENAME "${fetched}" "${archive}")
      return()
    endif()
  endforeach()
endfunction()

function(fetch_from_project archive)
  message(STATUS "Fetching ${tag_url}")
  file(DOWNLOAD "${tag_url}" "${archive}.part" INACTIVITY_TIMEOUT 20 TLS_VERIFY ON STATUS status)
  list(GET status 0 code)
  if(code EQUAL 0)
    file(RENAME "${archive}.part" "${archive}")
  else()
    message(STATUS "It could not be fetched: ${status}")
    file(REMOVE "${archive}.part")
  endif()
endfunction()

function(find_portaudio_source folder)
  set(archive "${STREAM_AUDIO_PORTAUDIO_ARCHIVE}")
  if(NOT archive)
    set(archive "${STREAM_AUDIO_PORTAUDIO_DOWNLOADS}/portaudio-${version}.tar.gz")
    if(NOT EXISTS "${archive}")
      fetch_from_project("${archive}")
    endif()
    if(NOT EXISTS "${archive}")
      fetch_from_debian("${archive}")
    endif()
    if(NOT EXISTS "${archive}")
      message(FATAL_ERROR
        "PortAudio ${version} could neither be fetched from ${tag_url} nor as Debian's source "
        "package ${debian_source}. Fetch one of them elsewhere and give its path: "
        "-DSTREAM_AUDIO_PORTAUDIO_ARCHIVE=PATH")
    endif()
  elseif(NOT EXISTS "${archive}")
    message(FATAL_ERROR "PortAudio's archive is not there: ${archive}")
  endif()
  file(SHA256 "${archive}" sha256)
  if(NOT sha256 STREQUAL tag_sha256 AND NOT sha256 STREQUAL site_sha256)
    message(FATAL_ERROR
      "${archive} is not PortAudio ${version}: its SHA-256 is ${sha256}; "
      "expected ${tag_sha256}. Delete it, and it is fetched anew.")
  endif()
  set(unpacked "${CMAKE_CURRENT_BINARY_DIR}/source")
  file(REMOVE_RECURSE "${unpacked}")
  file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${unpacked}")
  file(GLOB source "${unpacked}/portaudio*") # its one folder; the two archives name it differently
  set(${folder} "${source}" PARENT_SCOPE)
endfunction()
