"""The tables and the queries. The only importer of sqlalchemy; nothing outside knows which database it is.

Each change of state is one guarded update, in one transaction with the events that tell of it.
"""
