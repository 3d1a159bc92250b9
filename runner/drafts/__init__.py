"""The kinds of drafts that come with the runner, one file each."""

from runner.attachment import Attachment
from runner.drafts.article import Article
from runner.drafts.email import Email
from runner.drafts.git_commit import GitCommit
from runner.drafts.linkedin_comment import LinkedInComment
from runner.drafts.linkedin_post import LinkedInPost
from runner.drafts.notify import Notify
from runner.drafts.skeet import Skeet
from runner.drafts.telegram_post import TelegramPost
from runner.drafts.toot import Toot
from runner.drafts.webhook import Webhook
from runner.drafts.wordpress_post import WordPressPost

__all__ = [
    "Article",
    "Attachment",
    "Email",
    "GitCommit",
    "LinkedInComment",
    "LinkedInPost",
    "Notify",
    "Skeet",
    "TelegramPost",
    "Toot",
    "Webhook",
    "WordPressPost",
]
