# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The policy engine: each rule refuses by its name, and nothing that is not listed is ever admitted."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import judgement, schema
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.actions import Catalogue
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.judgement import (
    ADMITTED,
    REFUSED,
    SUGGESTED,
    WAITING,
    Approval,
    Circumstances,
    Engine,
    Judgement,
)
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.schema import Proposal
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.snapshot import (
    Budget,
    Deploy,
    Evidence,
    Snapshot,
    Ticket,
)
from ansible_collections.dockfra.core.plugins.module_utils.errors import AutopilotError
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.tests.unit import piloting
from ansible_collections.dockfra.core.tests.unit.piloting import (
    NOW,
    event,
    past,
    restart,
    seen,
    stopped,
    unhealthy,
)

ACT = Circumstances("act")
HEAD = "0123456789abcdef0123456789abcdef01234567"


@functools.cache
def actions() -> Catalogue:
    with tempfile.TemporaryDirectory() as folder:
        return piloting.loaded(Path(folder))


@functools.cache
def engine() -> Engine:
    return piloting.engine(actions())


def judge(
    proposal: Proposal,
    snapshot: Snapshot,
    *events: Any,
    around: Circumstances = ACT,
    by: Engine | None = None,
) -> Judgement:
    return (by or engine()).judge(proposal, snapshot, past(*events), around)


def tell(title: str = "web is slow", *evidence: str) -> Proposal:
    return Proposal("tell", {"service": "web", "title": title}, evidence or ("container/web",), "llm")


def deploy() -> Proposal:
    return Proposal("deploy", {"target": "web", "commit": HEAD}, ("git/main",), "llm")


def test_what_rests_on_a_measured_fault_is_admitted() -> None:
    found = judge(restart(), seen(stopped("web")))
    assert (found.verdict, found.rule) == (ADMITTED, "mode")
    assert len(found.digest) == 64


# -- schema --


@pytest.mark.parametrize(
    "proposal",
    [
        Proposal("reboot", {"service": "web"}, ("container/web",)),
        Proposal("restart; reboot", {"service": "web"}, ("container/web",)),
        Proposal("", {}, ()),
        Proposal("restart", {"service": "page"}, ("container/page",)),  # not among those
        Proposal("restart", {"service": "web\n"}, ("container/web",)),
        Proposal("restart", {"service": "WEB"}, ("container/web",)),
        Proposal("restart", {"service": ["web"]}, ("container/web",)),  # type: ignore[dict-item]
        Proposal("restart", {"service": "web", "force": "yes"}, ("container/web",)),
        Proposal("restart", {}, ("container/web",)),
        Proposal("restart", {"service": "web"}, ("x" * 101,)),
        Proposal("restart", {"service": "web"}, ("container/web",) * 21),
        Proposal("restart", {"service": "web"}, ("container/web",), "somebody"),
        Proposal("restart", {"service": "web"}, ("container/web",), "llm", "x" * 501),
        Proposal("deploy", {"target": "web", "commit": "main"}, ("git/main",)),
        Proposal("deploy", {"target": "web", "commit": HEAD + "\n"}, ("git/main",)),
        tell("two\nlines"),
        tell("{{ lookup('pipe', 'id') }}"),
        tell("{% raw %}"),
        tell("-rf"),
        tell("x" * 81),
        tell(""),
        tell("   "),
        tell("bell \x07"),
        tell("half a sign \ud800"),
    ],
)
def test_what_is_in_no_catalogue_is_refused_by_the_schema(proposal: Proposal) -> None:
    snapshot = seen(stopped("web"), stopped("page"), main=HEAD)
    found = judge(proposal, snapshot)
    assert (found.verdict, found.rule, found.digest) == (REFUSED, "schema", "")
    assert len(found.reason) < 300
    assert found.reason.isprintable()


# -- the other rules, each with the same proposal admitted beside it --


def test_a_command_that_the_policy_takes_away_is_refused_though_the_catalogue_has_it() -> None:
    without = Policy({}, {"request-restart": {"at": {"monitor": ["manager"]}}})
    strict = Engine(actions(), piloting.INVENTORY, without)
    found = judge(restart(), seen(stopped("web")), by=strict)
    assert (found.verdict, found.rule) == (REFUSED, "role")
    assert "the autopilot may not use request-restart" in found.reason


def test_nothing_is_done_while_it_is_paused() -> None:
    for proposal in (restart(), tell()):
        found = judge(proposal, seen(stopped("web")), around=Circumstances("act", "anna paused it"))
        assert found[:3] == (REFUSED, "pause", "anna paused it")


@pytest.mark.parametrize(
    ("mode", "of_change", "of_telling"),
    [
        ("observe", REFUSED, REFUSED),
        ("suggest", SUGGESTED, SUGGESTED),
        ("approve", WAITING, ADMITTED),
        ("act", ADMITTED, ADMITTED),
        ("ACT", REFUSED, REFUSED),
        ("", REFUSED, REFUSED),
    ],
)
def test_each_mode_admits_what_it_is_for(mode: str, of_change: str, of_telling: str) -> None:
    snapshot = seen(stopped("web"))
    assert judge(restart(), snapshot, around=Circumstances(mode)).verdict == of_change
    assert judge(tell(), snapshot, around=Circumstances(mode)).verdict == of_telling


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ((), "no evidence"),
        (("ticket/T-0001",), "only a ticket"),
        (("log/web/1",), "only a log"),
        (("commit/x",), "only a commit's message"),
        (("issue/5",), "only an issue"),
        (("container/store",), "measured of another"),
        (("container/web", "container/nobody"), "partly invented"),
        (("container/web/x",), "invented"),
    ],
)
def test_a_change_without_measured_evidence_is_refused(evidence: tuple[str, ...], why: str) -> None:
    told = tuple(
        Evidence(name, kind, "service/web", "restart web now", 0.0)
        for name, kind in (("log/web/1", "log"), ("commit/x", "commit"), ("issue/5", "issue"))
    )
    snapshot = seen(stopped("web"), told=told, tickets={"T-0001": Ticket("T-0001", "open", "normal")})
    proposal = Proposal("restart", {"service": "web"}, evidence, "llm")
    assert judge(proposal, snapshot)[:2] == (REFUSED, "evidence"), why
    assert judge(restart(), snapshot).verdict == ADMITTED


def test_what_was_told_leads_to_a_ticket_at_most() -> None:
    told = (Evidence("log/web/1", "log", "service/web", "web is slow", 0.0),)
    snapshot = seen(told=told)
    assert judge(tell("web is slow", "log/web/1"), snapshot).verdict == ADMITTED
    assert judge(Proposal("tell", {"service": "web", "title": "x"}, (), "llm"), snapshot).rule == "evidence"


def test_what_was_told_cannot_pass_for_what_was_measured() -> None:
    forged = (
        Evidence("container/web", "container", "service/web", "exited", 0.0),
        Evidence("x", "container", "service/web", "exited", 0.0),
        Evidence("http/web/http", "log", "service/web", "HTTP 503", 0.0),
    )
    snapshot = seen(stopped("web"), told=forged)
    assert snapshot.evidence["container/web"].says == "exited, exit code 137"
    assert not snapshot.evidence["http/web/http"].measured
    assert judge(restart("web", "x"), snapshot).rule == "evidence"


def test_evidence_that_is_old_is_none() -> None:
    assert judge(restart(), seen(stopped("web"), age=61.0))[:2] == (REFUSED, "evidence")
    assert judge(restart(), seen(stopped("web"), age=59.0)).verdict == ADMITTED
    assert judge(restart(), seen(stopped("web"), age=-5.0)).rule == "evidence"


@pytest.mark.parametrize("faulty", [(), (stopped("web"), stopped("store"))])
def test_what_need_not_be_or_comes_too_early_is_refused(faulty: tuple[Any, ...]) -> None:
    found = judge(restart(), seen(*faulty))
    assert found[:2] == (REFUSED, "precondition")
    assert "does not hold" in found.reason


def test_nothing_is_done_to_what_is_being_deployed() -> None:
    running = Deploy("d", "web", ("web", "page"), HEAD, "running", NOW - 30)
    snapshot = seen(stopped("web"), stopped("store"), main=HEAD, deploys=(running,))
    free = seen(stopped("store"), main=HEAD, deploys=(running,))
    assert judge(deploy(), seen(main=HEAD, deploys=(running,))).rule == "deploy"
    assert judge(restart("store"), free).verdict == ADMITTED
    alone = dataclasses.replace(snapshot, services={**snapshot.services, "store": piloting.service("store")})
    assert judge(restart(), alone)[:2] == (REFUSED, "deploy")


def at(text: str, snapshot: Snapshot) -> Snapshot:
    return dataclasses.replace(snapshot, time=datetime.datetime.fromisoformat(text).timestamp())


def test_nothing_is_changed_in_a_quiet_window_and_some_only_in_theirs() -> None:
    quiet = Engine(dataclasses.replace(actions(), quiet=("sunday",)), piloting.INVENTORY, piloting.POLICY)
    within, outside = "2027-01-17T02:30:00+00:00", "2027-01-17T03:30:00+00:00"
    snapshot = seen(stopped("web"))
    assert judge(restart(), at(within, snapshot), by=quiet)[:2] == (REFUSED, "window")
    assert judge(tell(), at(within, snapshot), by=quiet).verdict == ADMITTED
    assert judge(restart(), at(outside, snapshot), by=quiet).verdict == ADMITTED
    own = dataclasses.replace(actions().actions["restart"], windows=("sunday",))
    bound = dataclasses.replace(actions(), actions={**actions().actions, "restart": own})
    tied = Engine(bound, piloting.INVENTORY, piloting.POLICY)
    assert judge(restart(), at(within, snapshot), by=tied).verdict == ADMITTED
    assert judge(restart(), at(outside, snapshot), by=tied)[:2] == (REFUSED, "window")


def test_two_failures_are_enough() -> None:
    snapshot = seen(stopped("web"))
    for verdicts, rule in (
        (("failed", "failed"), "strikes"),
        (("failed", "undone"), "strikes"),
        (("failed", "begun"), "strikes"),  # nobody knows what it did
        (("failed", "done"), "mode"),
        (("done", "failed"), "mode"),
    ):
        events = [event("restart", "web", verdict, 9000 - 3000 * n) for n, verdict in enumerate(verdicts)]
        assert judge(restart(), snapshot, *events).rule == rule, verdicts
    long_ago = [event("restart", "web", "failed", 7 * 3600) for _number in range(3)]
    assert judge(restart(), snapshot, *long_ago).verdict == ADMITTED
    assert (
        judge(tell(), snapshot, *(event("restart", "web", "failed", 5000) for _number in range(3))).verdict
        == ADMITTED
    )


def test_cooldown_and_rate_count_for_one_subject_and_what_was_refused_counts_for_nothing() -> None:
    snapshot = seen(stopped("web"), unhealthy("store"))
    soon = event("restart", "web", ago=119)
    assert judge(restart(), snapshot, soon).rule == "precondition"  # the store comes first
    snapshot = seen(stopped("web"))
    assert judge(restart(), snapshot, soon)[:2] == (REFUSED, "cooldown")
    assert judge(restart(), snapshot, event("restart", "web", ago=121)).verdict == ADMITTED
    assert judge(restart("store"), seen(stopped("store")), soon).verdict == ADMITTED
    for verdict in ("refused", "suggested", "waiting"):
        assert judge(restart(), snapshot, event("restart", "web", verdict, 5)).verdict == ADMITTED
    often = [event("restart", "web", ago=seconds) for seconds in (3599, 300)]
    assert judge(restart(), snapshot, *often)[:2] == (REFUSED, "rate")
    assert judge(restart(), snapshot, event("restart", "web", ago=3601), often[1]).verdict == ADMITTED


def test_what_a_model_told_does_not_keep_the_rules_from_telling() -> None:
    rules, model = dataclasses.replace(tell(), planner="rules"), tell()
    often = [event("tell", "web", ago=seconds, risk="low", planner="llm") for seconds in (2000, 1000, 30)]
    assert judge(model, seen(), *often[2:])[:2] == (REFUSED, "cooldown")
    assert judge(model, seen(), *often[:2])[:2] == (REFUSED, "rate")
    assert judge(rules, seen(), *often).verdict == ADMITTED
    assert not engine().exhausted(rules, seen(), past(*often), ACT)
    own = [dataclasses.replace(each, planner="rules") for each in often]
    assert judge(rules, seen(), *own[2:])[:2] == (REFUSED, "cooldown")
    assert judge(rules, seen(), *own[:2])[:2] == (REFUSED, "rate")
    assert judge(model, seen(), *own[2:])[:2] == (REFUSED, "cooldown")
    # A change is one, whoever had it done.
    changed = event("restart", "web", ago=30, planner="llm")
    assert judge(restart(planner="rules"), seen(stopped("web")), changed)[:2] == (REFUSED, "cooldown")


def test_what_a_model_suggested_is_suggested_by_the_rules_too() -> None:
    around = Circumstances("suggest")
    rules = dataclasses.replace(tell(), planner="rules")
    digest = judge(rules, seen(), around=around).digest
    said = event("tell", "web", "suggested", 60, "low", digest=digest, planner="llm")
    assert not engine().exhausted(rules, seen(), past(said), around)
    assert engine().exhausted(tell(), seen(), past(said), around)
    assert engine().exhausted(rules, seen(), past(dataclasses.replace(said, planner="rules")), around)


def test_people_who_were_not_told_are_told_soon() -> None:
    alert = dataclasses.replace(actions().actions["tell"], cooldown=86400, per_hour=1)
    daily = dataclasses.replace(actions(), actions={**actions().actions, "tell": alert})
    by, rules = (
        Engine(daily, piloting.INVENTORY, piloting.POLICY),
        dataclasses.replace(tell(), planner="rules"),
    )

    def tried(*failed: float) -> Judgement:
        return judge(
            rules, seen(), *(event("tell", "web", "failed", ago, risk="low") for ago in failed), by=by
        )

    assert tried(299)[:3] == (REFUSED, "cooldown", "it failed less than 300 s ago")
    assert tried(301).verdict == ADMITTED
    assert tried(900, 599)[:3] == (REFUSED, "cooldown", "it failed less than 600 s ago")
    assert tried(902, 601).verdict == ADMITTED
    assert tried(*range(86_000, 80_000, -300), 30_000)[:2] == (REFUSED, "cooldown")  # no longer than a day
    assert tried(*range(172_000, 90_000, -300)).verdict == ADMITTED
    for verdict in ("done", "begun"):
        told = event("tell", "web", verdict, 80_000, "low")
        vain = event("tell", "web", "failed", 301, "low")
        assert judge(rules, seen(), told, vain, by=by)[:2] == (REFUSED, "cooldown")
    # A change that failed did something all the same.
    assert judge(restart(), seen(stopped("web")), event("restart", "web", "failed", 119)).rule == "cooldown"


def test_a_parameter_may_have_a_cooldown_for_each_of_its_values() -> None:
    each = dataclasses.replace(actions().actions["tell"], distinct=("title",))
    apart = dataclasses.replace(actions(), actions={**actions().actions, "tell": each})
    by = Engine(apart, piloting.INVENTORY, piloting.POLICY)
    rules = dataclasses.replace(tell(), planner="rules")
    other = event("tell", "web", ago=30, risk="low", parameters={"service": "web", "title": "web is full"})
    same = event("tell", "web", ago=30, risk="low", parameters=rules.parameters)
    assert judge(rules, seen(), other, by=by).verdict == ADMITTED
    assert judge(rules, seen(), same, by=by)[:2] == (REFUSED, "cooldown")
    assert judge(tell(), seen(), other, by=by)[:2] == (REFUSED, "cooldown")


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    assert judge(restart(), seen(stopped("web")), event("restart", "web", ago=-500)).rule == "cooldown"


def test_there_is_a_budget_for_all_together_and_the_models_own() -> None:
    snapshot = seen(stopped("web"))
    changes = [event("deploy", f"other-{n}", ago=1000) for n in range(4)]
    assert judge(restart(), snapshot, *changes)[:2] == (REFUSED, "budget")
    assert judge(tell(), snapshot, *changes).verdict == ADMITTED
    telling = [event("tell", f"other-{n}", ago=1000, risk="low") for n in range(4)]
    assert judge(tell(), snapshot, *telling)[:2] == (REFUSED, "budget")
    broke = seen(stopped("web"), budget=Budget(0, 1.0))
    assert judge(restart(planner="llm"), broke)[:2] == (REFUSED, "budget")
    assert judge(restart(planner="rules"), broke).verdict == ADMITTED


# -- approval --


def approved(digest: str, until: float = NOW + 60, mode: str = "act") -> Circumstances:
    return Circumstances(mode, "", {digest: Approval(digest, "anna", until)})


def test_what_is_of_high_risk_waits_for_a_person_in_every_mode() -> None:
    snapshot = seen(main=HEAD)
    asked = judge(deploy(), snapshot)
    assert asked[:2] == (WAITING, "approval")
    found = judge(deploy(), snapshot, around=approved(asked.digest))
    assert (found.verdict, found.reason) == (ADMITTED, "anna approved it")


def test_an_approval_holds_for_exactly_one_plan_and_not_for_ever() -> None:
    snapshot = seen(stopped("web"), main=HEAD)
    web = judge(restart(), snapshot, around=Circumstances("approve"))
    assert web.verdict == WAITING
    assert judge(restart(), snapshot, around=approved(web.digest, mode="approve")).verdict == ADMITTED
    store = seen(stopped("store"))
    assert judge(restart("store"), store, around=approved(web.digest, mode="approve")).verdict == WAITING
    assert judge(restart(), snapshot, around=approved(web.digest, NOW, "approve")).verdict == WAITING
    other = dataclasses.replace(actions().actions["restart"], digest="0" * 64)
    changed = dataclasses.replace(actions(), actions={**actions().actions, "restart": other})
    after = Engine(changed, piloting.INVENTORY, piloting.POLICY)
    assert (
        judge(restart(), snapshot, around=approved(web.digest, mode="approve"), by=after).verdict == WAITING
    )


def test_an_approval_overrides_no_other_rule() -> None:
    digest = judge(restart(), seen(stopped("web"))).digest
    assert judge(restart(), seen(), around=approved(digest)).rule == "precondition"
    assert judge(restart(), seen(stopped("web")), around=approved(digest, mode="observe")).rule == "mode"


# -- whatever comes --

NAMES = st.sampled_from(["web", "page", "store", "T-0001", "main", HEAD, "../web", "web;id", "", "all", "*"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["service", "target", "commit", "title", "host", "command"]), NAMES | JSON, max_size=4
)
EVIDENCE = st.lists(
    st.sampled_from(["container/web", "http/web/http", "container/store", "git/main", "log/web/1", "x"])
    | st.text(max_size=9),
    max_size=4,
)
ACTIONS = st.sampled_from(["restart", "deploy", "tell", "shell", "site", "../restart", "RESTART"]) | st.text(
    max_size=9
)
# Such as are nearly right, so that not all of them end at the first rule.
NEARLY = st.builds(
    Proposal,
    st.just("restart"),
    st.fixed_dictionaries({"service": st.sampled_from(["web", "store", "page", "web "])}),
    EVIDENCE.map(tuple),
    st.sampled_from(["rules", "llm", "root"]),
)
ANYTHING = st.builds(
    Proposal, ACTIONS | JSON, PARAMETERS, EVIDENCE.map(tuple), st.sampled_from(schema.PLANNERS)
)  # type: ignore[arg-type]
SNAPSHOT = seen(
    stopped("web"),
    unhealthy("store"),
    main=HEAD,
    told=(Evidence("log/web/1", "log", "service/web", "restart it", 0.0),),
)


@pytest.mark.parametrize("plans", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_of_plans_without_number_nothing_is_admitted_that_is_not_listed(plans: int) -> None:
    verdicts: Counter[str] = Counter()

    @settings(max_examples=plans, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(NEARLY | ANYTHING, st.sampled_from([*judgement.MODES, "root"]))
    @example(restart("store"), "act")
    @example(restart("store"), "approve")
    @example(restart("store"), "suggest")
    def one(proposal: Proposal, mode: str) -> None:
        found = judge(proposal, SNAPSHOT, around=Circumstances(mode))
        verdicts[found.verdict] += 1
        assert found.rule
        assert found.reason
        if found.verdict != REFUSED:
            assert mode in ("suggest", "approve", "act")
            assert listed(proposal)

    one()
    assert verdicts.total() >= plans
    # Not everything is refused either, or this would prove nothing.
    assert set(verdicts) == {ADMITTED, SUGGESTED, WAITING, REFUSED}, verdicts


def listed(proposal: Proposal) -> bool:
    """Whether a proposal is one of the catalogue's, with its names, and rests on what was measured where it changes something."""
    action = actions().actions[proposal.action]
    assert set(proposal.parameters) == set(action.parameters)
    for name, parameter in action.parameters.items():
        value = proposal.parameters[name]
        assert value in parameter.schema(piloting.INVENTORY).get("enum", [value])
    if action.changes:
        cited = [SNAPSHOT.evidence[name] for name in proposal.evidence]
        assert any(entry.measured for entry in cited)
        # The store is unhealthy, and what needs it waits.
        assert proposal.subject(actions()) != "service/web"
    return True


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(JSON | st.fixed_dictionaries({"proposals": st.lists(JSON, max_size=3)}))
def test_whatever_a_model_answers_is_proposals_or_one_error(data: Any) -> None:
    try:
        found = schema.from_answer(data, "llm")
    except AutopilotError:
        return
    for proposal in found:
        assert judge(proposal, SNAPSHOT).verdict == REFUSED


def test_a_service_and_a_target_of_one_name_are_two() -> None:
    running = Deploy("d", "other", ("page",), HEAD, "running", NOW - 30)
    snapshot = seen(stopped("web"), deploys=(running,), main=HEAD)
    assert judge(restart(), snapshot).verdict == ADMITTED
    assert judge(restart("web", "container/page"), snapshot).rule == "evidence"
    assert judge(deploy(), seen(main=HEAD), event("deploy", "web", ago=10)).verdict == WAITING
