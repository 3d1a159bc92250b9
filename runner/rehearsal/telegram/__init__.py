"""A stand-in for the Telegram Bot API: its long poll, its limits, its refusals, and the hands of those who tap."""

from runner.rehearsal.telegram.call import Call, Upload
from runner.rehearsal.telegram.server import EXPIRED, TOKEN, Answers, Stalls, StandInTelegram

__all__ = ["EXPIRED", "TOKEN", "Answers", "Call", "Stalls", "StandInTelegram", "Upload"]
