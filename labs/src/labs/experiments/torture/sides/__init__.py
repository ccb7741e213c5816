"""The sides: ours and the peers, each behind the same three commands.

Each module is a process of its own, ``python -m labs.experiments.torture.sides.NAME``,
in an environment that holds the peer and nothing of ours but this folder. It keeps
what it needs in a folder STATE, and knows:

``ingest FOLDER STATE URL``
    bring the store up to date with the files; exit with 0 to say that it is.
``passages STATE...``
    print what a search could find: JSON lines of state, source, text, length of vector.
``empty STATE``
    take every passage out of the store, and leave what else it keeps.

Each is set up as the peer's documentation shows, with batches of `BATCH` texts where
that can be said.
"""
