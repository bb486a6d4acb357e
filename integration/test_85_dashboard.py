"""The dashboard in a real browser, on a real stack: what a newcomer does, what an attacker tries,
what axe finds. integration/browser has the scenarios; they run once, in order, in one browser.
"""
import json
import os
import subprocess
import sys

import pytest

from stack import ROOT

STACK = {"edges": 2}
TEST_S = 400  # it takes 75 on a machine of its own
BROWSER = ROOT / "integration/browser"
SCREENSHOTS = ROOT / "build/screenshots"


@pytest.fixture(scope="module")
def scenarios(stack):
    """name -> what it says of itself"""
    env = stack.env | {"PYTHON": sys.executable, "SCREENSHOTS": str(SCREENSHOTS),
                       "NODE_PATH": str(ROOT / "integration/node/node_modules")}
    done = subprocess.run(["node", BROWSER / "run.mjs", stack.url], env=env, capture_output=True,
                          text=True, timeout=TEST_S)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["name"]: one for one in told}


def passed(scenarios, name):
    assert name in scenarios, f"{name} did not run; before it: {list(scenarios)}"
    assert scenarios[name]["error"] is None, scenarios[name]["error"]
    return scenarios[name].get("notes")


def test_a_newcomer_sees_a_heart_rate_move(scenarios):
    notes = passed(scenarios, "newcomer")
    print(f"from the first page to the first heart rate: {notes['seconds']} s")


def test_a_key_is_shown_once(scenarios):
    passed(scenarios, "keyShownOnce")


def test_the_programs_of_the_quickstart_stream_as_they_are_shown(scenarios):
    passed(scenarios, "snippets")


def test_every_open_session_is_a_live_tile(scenarios):
    passed(scenarios, "live")


def test_every_page_is_accessible_and_fits_both_widths_in_both_themes(scenarios):
    notes = passed(scenarios, "look")
    print(f"{notes['pictures']} pictures in {os.path.relpath(SCREENSHOTS)}")


def test_keys_are_made_and_deleted_without_a_mouse(scenarios):
    passed(scenarios, "keyboard")


def test_a_server_that_is_away_is_named_and_what_was_there_stays(scenarios):
    passed(scenarios, "serverAway")


def test_the_audit_trail_hides_reads_until_they_are_asked_for(scenarios):
    passed(scenarios, "auditWithoutReads")


def test_a_pasted_key_is_found_by_its_hint_and_stays_in_the_browser(scenarios):
    passed(scenarios, "pastedKey")


def test_deleting_a_key_closes_its_sockets_and_shows_the_receipt(scenarios):
    print(passed(scenarios, "deleteCloses")["receipt"])


def test_a_rotated_key_has_a_successor_that_can_be_disabled(scenarios):
    passed(scenarios, "rotatedAndDisabled")


def test_devices_tell_of_their_clocks_and_what_is_kept_of_one_can_be_deleted(scenarios):
    passed(scenarios, "deviceDeleted")


def test_another_site_can_neither_change_nor_hear_anything(scenarios):
    passed(scenarios, "foreignSite")


def test_what_is_written_into_a_page_does_not_run(scenarios):
    passed(scenarios, "policyHolds")


def test_the_pages_of_another_account_are_not_found(scenarios):
    passed(scenarios, "otherAccount")


def test_one_logs_out_and_in_again(scenarios):
    passed(scenarios, "logsOutAndIn")


def test_an_invitation_lets_one_person_in(scenarios):
    passed(scenarios, "invitation")


def test_a_new_password_ends_every_other_login_and_keeps_this_one(scenarios):
    passed(scenarios, "passwordChanged")


def test_an_owner_can_delete_the_account(scenarios):
    passed(scenarios, "accountDeleted")


def test_five_hundred_tiles_are_live_at_once(scenarios):
    notes = passed(scenarios, "manyTiles")
    assert notes["tiles"] == 500
    print(f"500 tiles: {notes['frames_per_s']} frames/s, p95 {notes['p95_frame_ms']} ms a frame")


def test_the_watch_in_the_browser_stops_and_leaves_no_key(scenarios):
    passed(scenarios, "watchStops")


def test_the_application_is_small_and_asks_no_other_host(scenarios):
    print(f"{passed(scenarios, 'lightAndAlone')['bytes']} bytes of assets")


def test_no_later_answer_holds_the_key(scenarios):
    passed(scenarios, "noReplyHoldsTheKey")


def test_no_page_complained(scenarios):
    passed(scenarios, "nothingComplained")
