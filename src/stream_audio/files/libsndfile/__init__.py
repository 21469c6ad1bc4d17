"""FLAC, Ogg, MP3 and what else libsndfile writes."""
