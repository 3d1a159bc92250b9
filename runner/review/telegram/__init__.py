"""The owner's phone: cards to read, buttons to decide, commands to halt. The only importer of python-telegram-bot."""
