"""Walks that once found something, a bug of the product or one that was planted, each as it was printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from walk import Walk

from runner.rehearsal.destination import DropsRequest, DropsResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground import Ground

pytestmark = pytest.mark.no_cover

PHONE = 4  #: the chance that gives a walk a phone


@pytest.fixture
def state(ground: Ground) -> Iterator[Any]:
    """A walk of which every step is looked at, as Hypothesis does."""

    class Here(Walk):
        def settle(self, fault: str = "", *, is_followed: bool = False) -> None:
            super().settle(fault, is_followed=is_followed)
            self.all_is_as_it_should_be()

    Here.ground = ground
    walk = Here()
    yield walk
    walk.teardown()


def test_what_was_cut_off_before_a_stop_is_never_sent_again(state: Any) -> None:
    state.begin(kinds=["Keyed"], chance=0)
    state.approve(number=1, fault="unsent")
    state.a_stop_comes_and_goes()
    state.the_uncertain_is_looked_into(fault="")


def test_what_expired_is_never_sent_again(state: Any) -> None:
    state.begin(kinds=["Keyed"], chance=0)
    state.approve(number=1, fault="unsent")
    state.the_clock_moves(seconds=73 * 3600)
    state.the_uncertain_is_looked_into(fault="")


def test_a_repeat_that_is_dropped_is_sent_once_more(state: Any) -> None:
    state.begin(kinds=["Keyed"], chance=0)
    state.approve(number=1, fault="unanswered")
    state.the_uncertain_is_looked_into(fault="unanswered")
    state.the_uncertain_is_looked_into(fault="")


@pytest.mark.parametrize("fault", ["unsent", "unanswered"])
def test_nothing_is_sent_again_blindly(state: Any, fault: str) -> None:
    state.begin(kinds=["Found"], chance=0)
    state.approve(number=1, fault=fault)
    state.the_uncertain_is_looked_into(fault="")
    state.approve(number=1, fault=fault)
    state.the_uncertain_is_looked_into(fault="")
    state.resolve(number=1, was_delivered=False)


def test_nobody_decides_while_all_is_stopped_though_the_file_is_gone(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.approve_oddly(number=1, hours=2, back=0)
    state.stop(how="theirs")
    state.the_stop_file_is_taken_away()
    state.undo(number=1)
    state.approve(number=1, fault="")
    state.edit(number=1)
    state.the_clock_moves(seconds=6 * 3600)
    state.resume()


def test_nobody_decides_beside_a_stop_file_that_no_runner_saw(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.crash()
    state.approve(number=1, fault="")
    state.stop(how="theirs")
    state.approve(number=1, fault="")
    state.start()
    state.the_stop_file_is_taken_away()
    state.resume()


def test_a_yes_to_what_was_edited_since_is_no_yes(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.edit(number=1)
    state.approve_oddly(number=1, hours=2, back=1)
    state.revise(number=1)
    state.approve_oddly(number=1, hours=2, back=1)
    state.approve(number=1, fault="refused")


def test_a_yes_that_comes_after_the_time_is_no_yes(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.approve_oddly(number=1, hours=80, back=0)
    state.crash()
    state.approve_oddly(number=1, hours=2, back=0)
    state.the_clock_moves(seconds=73 * 3600)
    state.approve(number=2, fault="")
    state.start()


def test_a_yes_waits_for_its_hour_and_for_the_code_it_was_given_to(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.approve_oddly(number=1, hours=2, back=0)
    state.undo(number=1)
    state.approve_oddly(number=1, hours=2, back=0)
    state.the_clock_moves(seconds=3600)
    state.the_code_is_edited()
    state.the_clock_moves(seconds=3600)
    state.approve_oddly(number=1, hours=2, back=0)
    state.crash()
    state.the_code_is_edited()
    state.the_clock_moves(seconds=6 * 3600)
    state.start()


def test_a_yes_is_void_where_the_code_changed_while_the_outcome_was_unknown(state: Any) -> None:
    state.begin(kinds=["Keyed"], chance=0)
    state.approve(number=1, fault="unsent")
    state.the_code_is_edited()
    state.resolve(number=1, was_delivered=False)
    state.approve(number=1, fault="")
    state.approve(number=1, fault="")


@pytest.mark.parametrize("was_delivered", [True, False])
@pytest.mark.parametrize("moment", [0, 4, 8, 16, 40])
def test_what_the_owner_found_out_meanwhile_stands(state: Any, moment: int, was_delivered: bool) -> None:  # noqa: FBT001
    state.begin(kinds=["Found"], chance=0)
    state.approve(number=1, fault="unsent" if was_delivered else "unanswered")
    state.resolved_while_it_is_looked_into(number=1, moment=moment, was_delivered=was_delivered)


@pytest.mark.parametrize("moment", [0, 8, 16, 24, 32, 40])
def test_a_crash_on_the_way_out_leaves_it_uncertain(state: Any, moment: int) -> None:
    state.begin(kinds=["Plain", "Keyed"], chance=0)
    state.crash_while_it_goes_out(number=1, moment=moment, is_held=False)
    state.start()
    state.crash_while_it_goes_out(number=1, moment=0, is_held=True)
    state.stop(how="theirs")
    state.start()
    state.the_stop_file_is_taken_away()
    state.resume()
    state.the_uncertain_is_looked_into(fault="")


@pytest.mark.parametrize("moment", [0, 2, 4, 8, 16, 24, 32, 40])
def test_a_stop_on_the_way_out_lets_nothing_begin(state: Any, moment: int) -> None:
    state.begin(kinds=["Plain", "Keyed"], chance=0)
    state.stop_comes_while_it_goes_out(number=1, moment=moment)
    state.the_stop_file_is_taken_away()
    state.resume()
    state.the_uncertain_is_looked_into(fault="")


@pytest.mark.parametrize("how", ["/dev/full", "/dev/null", "before a yes", "after a yes"])
def test_what_cannot_be_written_down_does_not_happen(state: Any, how: str) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.nothing_can_be_written(number=1, how=how)
    if state.model.is_stopped:
        state.resume()
    state.crash()
    state.start()


def test_words_that_nobody_approved_are_not_sent(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.its_bytes_are_changed_behind_everybodys_back(number=1)
    state.approve(number=1, fault="")


def test_a_card_asks_for_nothing_but_what_stands_there_now(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=PHONE)
    state.edit(number=1)
    state.tap(number=0, fault="unanswered")
    state.tap_a_card_as_it_was(number=0)
    state.updates_come_again(number=0, second=0)
    state.stop(how="phone")
    state.crash()
    state.start()


def test_a_tap_while_nobody_listens_is_heard_or_void(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=PHONE)
    state.crash()
    state.tap_while_nobody_listens(number=0)
    state.tap_while_nobody_listens(number=1)
    state.edit(number=1)
    state.start()
    state.two_taps_come_in_the_wrong_order()


def test_a_stop_file_seen_on_a_full_disk_is_kept_in_mind(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.crash()
    state.approve(number=1, fault="")
    state.stop(how="theirs")
    state.nothing_can_be_written(number=1, how="before a yes")
    state.start()


def test_between_a_resume_and_the_next_stop_what_waits_may_be_read_anew(state: Any) -> None:
    state.begin(kinds=["Plain", "Found"], chance=0)
    state.approve(number=11, fault="unsent")
    state.the_code_is_edited()
    state.resolved_while_it_is_looked_into(moment=40, number=10, was_delivered=False)
    state.nothing_can_be_written(number=1, how="/dev/full")
    state.resume()


def test_who_may_not_resume_has_seen_the_stop_all_the_same(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.crash()
    state.approve(number=0, fault="")
    state.stop(how="theirs")
    state.resume()
    state.start()


def test_after_a_resume_what_came_back_by_old_code_is_read_anew(state: Any) -> None:
    state.begin(kinds=["Plain", "Found"], chance=0)
    state.approve(number=11, fault="unsent")
    state.the_code_is_edited()
    state.resolve(number=11, was_delivered=False)
    state.a_stop_comes_and_goes()


def test_a_card_whose_change_was_not_answered_is_as_good_as_before(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=PHONE)
    state.stop(how="phone")
    state.the_line_drops_a_call(method="editMessageText", step=DropsResponse())
    state.resume()
    state.two_taps_come_in_the_wrong_order()


def test_a_yes_from_before_a_stop_is_none_for_the_runner_that_comes_up_after_it(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=PHONE)
    state.crash()
    state.tap_while_nobody_listens(number=0)
    state.stop(how="ours")
    state.resume()
    state.start()


def test_a_stop_ends_a_revision_that_waits_for_a_runner(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.crash()
    state.revise(number=1)
    state.stop(how="ours")
    state.start()
    state.resume()


def test_reasons_for_a_no_are_offered_though_the_first_offer_was_lost(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=PHONE)
    state.the_line_drops_a_call(method="editMessageText", step=DropsRequest())
    state.tap(number=7, fault="")


def test_while_all_is_stopped_nothing_is_made_anew(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.approve(number=1, fault="unanswered")
    state.the_code_is_edited()
    state.resolve(number=1, was_delivered=False)
    state.stop(how="theirs")
    state.the_code_is_edited()
    state.the_stop_file_is_taken_away()
    state.resume()


def test_what_a_run_made_is_sent_back_as_often_as_its_task_may(state: Any) -> None:
    state.begin(kinds=["Plain"], chance=0)
    state.a_task_makes(kind="all of them")
    for _ in range(4):
        state.revise(number=2)
