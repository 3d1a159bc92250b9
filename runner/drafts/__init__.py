"""The kinds of drafts that come with the runner, one file each."""

from runner.attachment import Attachment
from runner.drafts.article import Article
from runner.drafts.webhook import Webhook

__all__ = ["Article", "Attachment", "Webhook"]
