# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One build: from the tree of a commit to an archive for each service, step by step.

Commands of the tree run as the same user as this process, in the same container, and may do there what they like. So this
process believes nothing that they leave behind: files are looked at before they are read, and an archive is written to where
only this process can reach it.
"""

from __future__ import annotations

import asyncio
import glob
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import IO, TypeVar

from ...module_utils.builds import test_report
from ...module_utils.builds.wire import MAX_LOG, TREE, Order, cleaned
from ...module_utils.errors import DockfraError
from ...module_utils.releases import archive, pack, spec_file
from ...module_utils.releases.spec import PACKAGES, RESERVED, SPEC_NAME, Spec, Tests
from ...module_utils.text import shown
from .commands import Commands, Ended
from .means import Means

# What one archive may have: the memory that there is holds no more of it.
PACKED = archive.LIMITS._replace(archive=160 * 1024 * 1024, content=384 * 1024 * 1024)

# Where the servers are that tests may need; any of the places will do.
_SERVERS: Mapping[str, Sequence[str]] = {
    "postgresql": ("/usr/lib/postgresql/*/bin/initdb", "/usr/local/bin/initdb"),
    "redis": ("/usr/bin/redis-server",),
}

T = TypeVar("T")
Say = Callable[..., None]


class StepError(Exception):
    """A step has failed.

    Args:
        service: whose step it is; empty for what concerns all.
        step: which one.
        reason: why, in one line.
        log: the end of what its command said.
    """

    def __init__(self, service: str, step: str, reason: str, log: bytes = b"") -> None:
        super().__init__(reason)
        self.service, self.step, self.reason = service, step, reason
        self.log = cleaned(log.decode(errors="replace"), MAX_LOG)


class Build:
    """One build.

    Args:
        order: what is to be built.
        means: with what.
        say: gets each event: its name, and its values by their keys.
    """

    def __init__(self, order: Order, means: Means, say: Say) -> None:
        self.order, self.means = order, means
        self.commands = Commands(self._output)
        self._say = say
        self._begin = time.monotonic()
        self._at = ("", "receive")

    async def run(self, tree: str) -> dict[str, IO[bytes]]:
        """Build all services from the tree's archive; return theirs, each in a file without a name.

        Raises:
            StepError: one cannot be built.
        """
        root = os.path.join(self.means.work, "tree")
        await self.step("", "receive", self._unpack(tree, root))
        return {
            service: await _Service(self, service, path, os.path.join(root, path)).run()
            for service, path in self.order.services.items()
        }

    async def _unpack(self, tree: str, root: str) -> None:
        for folder in (root, os.path.join(self.means.work, "home")):
            os.mkdir(folder, 0o700)
        await asyncio.to_thread(archive.unpack, tree, root, TREE, tuple(self.order.services.values()))
        os.unlink(tree)

    async def step(self, service: str, step: str, work: Awaitable[T]) -> T:
        """Do a step of a service, and say how it went.

        Raises:
            StepError: it failed.
        """
        begin, ok = time.monotonic(), False
        self._at = (service, step)
        self._tell("begin")
        try:
            result = await work
            ok = True
        except (DockfraError, OSError, ValueError, RecursionError) as error:
            raise StepError(service, step, str(error)) from error
        finally:
            self._tell("end", seconds=round(time.monotonic() - begin, 3), ok=ok)
        return result

    def _output(self, text: str) -> None:
        if said := cleaned(text):
            self._tell("output", text=said)

    def _tell(self, event: str, **values: object) -> None:
        elapsed = round(time.monotonic() - self._begin, 3)
        self._say(event, service=self._at[0], step=self._at[1], elapsed=elapsed, **values)


class _Service:
    """The build of one service.

    Args:
        build: the whole.
        name: the service.
        path: its directory in the tree.
        folder: where that is.
    """

    def __init__(self, build: Build, name: str, path: str, folder: str) -> None:
        self._build, self._name, self._path, self._folder = build, name, path, folder
        self._means = build.means
        self._step_name = "spec"
        # No service finds anything of another.
        self._work = os.path.join(self._means.work, f"build-{name}")
        self._content = os.path.join(self._work, "content")
        self._when = 0

    async def run(self) -> IO[bytes]:
        os.makedirs(self._content)
        spec = await self._step("spec", self._read_spec())
        if spec.build:
            await self._step("build", self._make(spec.build.requirements, spec.build.commands))
        if spec.requirements:
            await self._step("packages", self._install_packages(spec.requirements))
        await self._step("compile", self._gather(spec))
        if spec.test and self._build.order.tests:
            await self._step("test", self._test(spec, spec.test))
        return await self._step("archive", self._pack())

    async def _step(self, step: str, work: Awaitable[T]) -> T:
        self._step_name = step
        return await self._build.step(self._name, step, work)

    def _failed(self, reason: str, log: bytes = b"") -> StepError:
        return StepError(self._name, self._step_name, reason, log)

    async def _read_spec(self) -> Spec:
        spec = spec_file.read(self._folder, f"{self._path}/{spec_file.NAME}")
        # git gives all files of a tree the commit's time.
        self._when = int(os.stat(os.path.join(self._folder, spec_file.NAME)).st_mtime)
        return spec

    # Commands -------------------------------------------------------------------------------------------------------

    async def _try(self, words: Sequence[str], cwd: str, env: Mapping[str, str]) -> Ended:
        seconds = self._means.step_limit
        return await self._build.commands.run(words, cwd=cwd, env=env, seconds=seconds)

    async def _run(self, *words: str, name: str = "", env: Mapping[str, str] | None = None) -> None:
        """Run a command in the service's directory that has to succeed; messages may call it otherwise."""
        ended = await self._try(words, self._folder, env or self._means.environment())
        if ended.status != 0:
            raise self._failed(f"{name or _words(words)} {ended.reason}", ended.log)

    async def _install(self, requirements: str, *pip: str) -> None:
        """Install packages from the image's own wheels, and only where those do not do, from the indexes.

        Whatever it comes from, it has one of the hashes that the requirements state.
        """
        file = os.path.join(self._folder, requirements)
        words = [*self._means.pip, *pip, "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", file]
        name = f"pip install -r {requirements}"
        try:
            await self._run(*words, "--no-index", name=name)
        except StepError:
            if not self._means.proxy:
                raise
            await self._run(*words, "--upgrade", name=name, env=self._means.environment(network=True))

    async def _environment(self, requirements: str) -> str:
        """Return the directory of a Python environment with packages of its own, for the step that is under way."""
        if not requirements:
            return self._means.python
        folder = os.path.join(self._work, f"{self._step_name}-env")
        # Commands of a build may fetch further packages; tests find what they have stated.
        options = [] if self._step_name == "build" else ["--without-pip"]
        await self._run(self._means.interpreter, "-m", "venv", *options, folder, name="python -m venv")
        await self._install(requirements, "--python", os.path.join(folder, "bin", "python"), "install")
        return folder

    async def _make(self, requirements: str, commands: Sequence[Sequence[str]]) -> None:
        python = await self._environment(requirements)
        for command in commands:
            await self._run(*command, env=self._means.environment(python, network=True))

    async def _install_packages(self, requirements: str) -> None:
        target = os.path.join(self._content, PACKAGES)
        await self._install(requirements, "install", "--no-compile", "--target", target)

    # What a release has ---------------------------------------------------------------------------------------------

    async def _gather(self, spec: Spec) -> None:
        """Put the release's content together, and compile what of it is Python."""
        names = spec.files or sorted(set(os.listdir(self._folder)) - set(RESERVED))
        for name in names:
            source, target = os.path.join(self._folder, name), os.path.join(self._content, name)
            if os.path.realpath(source) != os.path.join(os.path.realpath(self._folder), name):
                raise self._failed(f"{shown(name)} is a link or below one, and a release has none")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            await self._copy(source, target)
        with open(os.path.join(self._content, SPEC_NAME), "xb") as file:
            file.write(spec.to_json())
        if spec.kind == "python":
            await self._compile(*(os.path.join(self._content, name) for name in names))
            if spec.requirements:
                await self._compile(os.path.join(self._content, PACKAGES), whole=False)

    async def _copy(self, source: str, target: str) -> None:
        # Links, pipes and devices come along as what they are, and the archive refuses them by name.
        await self._run(
            "/bin/cp", "-a", source, target, name=f"the copy of {shown(os.path.basename(source))}"
        )

    async def _compile(self, *places: str, whole: bool = True) -> None:
        # By their hash, which is not looked at again: the times of files mean nothing.
        options = ["-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
        words = [self._means.interpreter, "-I", "-m", "compileall", *options, *places]
        if whole:
            await self._run(*words, name="the Python code does not compile: compileall")
        else:
            # Packages bring files for other versions of Python.
            await self._try(words, self._content, self._means.environment())

    async def _pack(self) -> IO[bytes]:
        # It has no name, and it is open in this process alone, which no other may look into.
        file = os.fdopen(os.memfd_create("archive", os.MFD_CLOEXEC), "w+b")
        await asyncio.to_thread(pack.pack, self._content, file, self._when, PACKED)
        file.flush()
        await self._try(["/bin/rm", "-rf", self._work], self._means.work, self._means.environment())
        return file

    # Tests ----------------------------------------------------------------------------------------------------------

    async def _test(self, spec: Spec, test: Tests) -> None:
        for server in test.needs:
            if not any(glob.glob(place) for place in _SERVERS[server]):
                raise self._failed(f"the tests need {server}, which is not in this builder")
        python = await self._environment(test.requirements)
        # What tests leave behind is in no release.
        copy, report = os.path.join(self._work, "test"), os.path.join(self._work, "report.xml")
        await self._copy(self._folder, copy)
        env = self._means.environment(python)
        env["PYTEST_ADDOPTS"] = f"-rs -p no:cacheprovider --junitxml={report}"
        if spec.requirements and not test.requirements:
            env["PYTHONPATH"] = os.path.join(self._content, PACKAGES)
        ended = await self._try(test.command, copy, env)
        counts = await asyncio.to_thread(test_report.read, report)
        name = _words(test.command)
        if ended.status != 0:
            raise self._failed(f"{name} {ended.reason}{_told(counts)}", ended.log)
        if counts is not None and not counts.ran:
            raise self._failed(f"{name} ran none of {counts.tests} tests", ended.log)


def _told(counts: test_report.Counts | None) -> str:
    if counts is None or not counts.failures:
        return ""
    return f": {counts.failed} of {counts.tests} tests failed, the first is {shown(counts.failures[0])}"


def _words(command: Sequence[str]) -> str:
    return shown(" ".join(command)).strip("'\"")
