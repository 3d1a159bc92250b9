"""The Claude room: what is asked, what is answered, and what it costs; the only importer of ``anthropic``."""
