"""The tables.

Instants are text as `runner.clock.stamp` writes it, which sorts in time; money is whole billionths of a dollar, so
that sums are exact.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

meta = Table(
    "meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

tasks = Table(
    "tasks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("cursor", Text),  #: every slot up to here is accounted for; NULL: not scheduled
    Column("state", Text, nullable=False, server_default="{}"),  #: what the task keeps in run.state
    Column("paused", Text),  #: since when; NULL: not paused
    Column("paused_by", Text),
)

slots = Table(
    "slots",
    METADATA,
    Column("task", Text, nullable=False),
    Column("instant", Text, nullable=False),  #: the slot, or the last of a group that shares an outcome
    Column("since", Text, nullable=False),  #: the first of the group; equals instant for a single slot
    Column("count", Integer, nullable=False),
    Column("outcome", Text, nullable=False),  #: "run", "missed: …" or "skipped: …"
    Column("run", Text),
    Column("recorded", Text, nullable=False),
    PrimaryKeyConstraint("task", "instant"),
)

runs = Table(
    "runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("slot", Text),  #: NULL: on demand
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("created", Text, nullable=False),
    Column("started", Text),
    Column("finished", Text),
    Column("not_before", Text),  #: when the next attempt may begin; NULL: at once
    Column("inputs", Text),  #: what the first attempt was given, so that each later one is given the same
    Column("error", Text),
    Column("revises", Text),  #: the draft it writes anew; NULL: none
    Column("feedback", Text),
    Column("parked", Text),  #: since when it waits for a batch; NULL: it does not
    UniqueConstraint("task", "slot"),
)
Index("runs_open", runs.c.status, runs.c.task)
Index("runs_recent", runs.c.task, runs.c.created)

calls = Table(
    "calls",
    METADATA,
    Column("run", Text, ForeignKey("runs.id"), nullable=False),
    Column("position", Integer, nullable=False),  #: 0 is the run's first question
    Column("digest", Text, nullable=False),  #: of the question as the API was told it
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("finished", Text, nullable=False),
    PrimaryKeyConstraint("run", "position"),
)

spending = Table(
    "spending",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cost_nano_usd", Integer),  #: NULL: the model's price is not known
    Column("is_lower_bound", Integer, nullable=False),  #: the answer broke off before its bill came
    Column("label", Text, nullable=False, server_default=""),
    Column("cache_read_tokens", Integer, nullable=False, server_default="0"),  #: of the input tokens
    Column("cache_write_tokens", Integer, nullable=False, server_default="0"),  #: likewise
    Column("saved_nano_usd", Integer),  #: by cache and batch, which may be less than nothing; NULL: not known
)
Index("spending_by_day", spending.c.at)
Index("spending_by_run", spending.c.run)

drafts = Table(
    "drafts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("place", Integer, nullable=False),  #: its index among what the run returned
    Column("call", Integer),  #: position of the Claude call that wrote it; NULL: none
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),  #: digest of the kind's code that the newest revision names
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("expires", Text, nullable=False),
    Column("revisions_left", Integer, nullable=False),
    Column("approved", Text),
    Column("approved_by", Text),
    Column("not_before", Text),
    Column("note", Text),  #: why it came back, or how it ended
    Column("remind", Text),  #: when its owner is reminded of it next; NULL: no more
)
Index("drafts_by_state", drafts.c.state, drafts.c.created)
Index("drafts_by_expiry", drafts.c.state, drafts.c.expires)
Index("drafts_by_task", drafts.c.task, drafts.c.state)
Index("drafts_by_reminder", drafts.c.state, drafts.c.remind)

kinds = Table(
    "kinds",
    METADATA,
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", Text, nullable=False),  #: the kind as JSON, as it was when a revision first named it
    PrimaryKeyConstraint("name", "source"),
)

revisions = Table(
    "revisions",
    METADATA,
    Column("draft", Text, ForeignKey("drafts.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("origin", Text, nullable=False),  #: "run", "edit", "revision" or "code"
    Column("by", Text),
    PrimaryKeyConstraint("draft", "number"),
)

decisions = Table(
    "decisions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("draft", Text, ForeignKey("drafts.id"), nullable=False),
    Column("task", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
)
Index("decisions_by_task", decisions.c.task, decisions.c.at)
Index("decisions_by_draft", decisions.c.draft)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("draft", Text, ForeignKey("drafts.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("started", Text, nullable=False),
    Column("finished", Text),
    Column("outcome", Text),
    Column("receipt", Text),
    Column("may_repeat", Integer, nullable=False, server_default="1"),  #: 0 once STOP was seen after it began
)
Index("deliveries_by_draft", deliveries.c.draft)

stops = Table(
    "stops",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("engaged", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("released", Text),
    Column("released_by", Text),
)

events = Table(
    "events",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

updates = Table(
    "updates",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  #: as Telegram counts them
    Column("body", Text, nullable=False),
    Column("received", Text, nullable=False),
    Column("handled", Text),  #: NULL: not yet
)
Index("updates_handled", updates.c.handled)

cards = Table(
    "cards",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("draft", Text, ForeignKey("drafts.id"), nullable=False),
    Column("digest", Text, nullable=False),  #: of the revision that it shows
    Column("chat", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  #: "sending", "live" or "dead"
    Column("tries", Integer, nullable=False),  #: how many cards before it were lost on their way
    Column("created", Text, nullable=False),
)
Index("cards_by_draft", cards.c.draft, cards.c.state)

posts = Table(
    "posts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("chat", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),  #: what it is about: "card", "answer", "run …"
    Column("rank", Integer, nullable=False),  #: 0 goes before 1, and 1 before 2
    Column("card", Integer, ForeignKey("cards.id")),  #: NULL: it is part of none
    Column("place", Integer, nullable=False),  #: among the parts of its card
    Column("wanted", Text, nullable=False),  #: what the message is to say, as JSON
    Column("version", Integer, nullable=False),  #: counts the changes of that
    Column("file", Text),  #: content of the document it carries; NULL: none
    Column("state", Text, nullable=False),  #: "waiting", "sending", "shown" or "dead"
    Column("not_before", Text),
    Column("message", BigInteger),  #: its id in the chat; NULL: not sent
    Column("returned", Text),  #: text and entities as Telegram returned them, as JSON
    Column("created", Text, nullable=False),
)
Index("posts_in_line", posts.c.state, posts.c.chat, posts.c.rank, posts.c.id, posts.c.not_before)
Index("posts_by_hour", posts.c.state, posts.c.not_before)
Index("posts_by_message", posts.c.chat, posts.c.message)
Index("posts_by_card", posts.c.card)
Index("posts_by_topic", posts.c.topic, posts.c.chat)

buttons = Table(
    "buttons",
    METADATA,
    Column("nonce", Text, primary_key=True),
    Column("post", Integer, ForeignKey("posts.id"), nullable=False),
    Column("draft", Text),  #: NULL: it is about none
    Column("digest", Text),
    Column("action", Text, nullable=False),
    Column("argument", Text, nullable=False),
)
Index("buttons_by_post", buttons.c.post)

asks = Table(
    "asks",
    METADATA,
    Column("post", Integer, ForeignKey("posts.id"), primary_key=True),  #: the message that asks
    Column("person", BigInteger, nullable=False),  #: who may answer
    Column("draft", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("argument", Text, nullable=False),
)

yeses = Table(
    "yeses",
    METADATA,
    Column("draft", Text, ForeignKey("drafts.id"), nullable=False),
    Column("digest", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
    PrimaryKeyConstraint("draft", "by"),
)

attachments = Table(
    "attachments",
    METADATA,
    Column("sha256", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

warnings = Table(
    "warnings",
    METADATA,
    Column("purse", Text, nullable=False),  #: whose budget was nearly spent: "all", "task NAME", "label WORD"
    Column("period", Text, nullable=False),  #: the day or the month
    Column("at", Text, nullable=False),
    PrimaryKeyConstraint("purse", "period"),
)

batches = Table(
    "batches",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run", Text, ForeignKey("runs.id"), nullable=False),
    Column("task", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("position", Integer, nullable=False),  #: of the question among those of its run
    Column("digest", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("bound_nano_usd", Integer, nullable=False),  #: the most it can cost
    Column("batch", Text),  #: its id at the API; NULL: not known
    Column("state", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("until", Text, nullable=False),  #: when the task's patience is over
    Column("reason", Text),  #: why it came to nothing
)
Index("batches_by_state", batches.c.state)
Index("batches_by_run", batches.c.run, batches.c.position)

given = Table(
    "given",
    METADATA,
    Column("run", Text, ForeignKey("runs.id"), nullable=False),
    Column("asked", Text, nullable=False),  #: what a run asked for beside Claude, as JSON
    Column("nth", Integer, nullable=False),  #: 0 is the first time it did
    Column("answer", Text, nullable=False),
    PrimaryKeyConstraint("run", "asked", "nth"),
)
