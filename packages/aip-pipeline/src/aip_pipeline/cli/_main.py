"""The command `aip`: its subcommands, loaded when used, and how it fails."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from aip_pipeline._errors import PipelineError
from aip_pipeline.cli._printing import print_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

OK, FAILED, USAGE, DEAD_LETTERS, BUDGET_SPENT, INTERRUPTED = 0, 1, 2, 3, 4, 130
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # of a file, it has its own sentence

# Name of each command: the module it lives in, its line in `aip --help`.
_COMMANDS = {
    "config": ("_config", "Show every setting, and where it comes from."),
    "dead": ("_dead", "See what could not be stored, and try it again."),
    "export": ("_export", "Write every chunk and its vector as JSON lines."),
    "ingest": ("_ingest", "Read, chunk, embed and store files."),
    "plan": ("_plan", "Tell what ingest would do and cost; send nothing."),
    "search": ("_search", "Find stored passages."),
    "status": ("_status", "Sum up what a store holds."),
    "verify": ("_verify", "Check a store against itself, and mend it."),
}


class CommandGroup(click.Group):
    """Load a subcommand when it is run, so that `aip --version` stays light.

    Other distributions add subcommands through the entry-point group `aip.commands`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name our commands and those that other distributions add."""
        del ctx
        return sorted({*_COMMANDS, *_added().names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name in _COMMANDS:
            module = import_module(f"aip_pipeline.cli.{_COMMANDS[cmd_name][0]}")
            found = module.command
        else:
            added = _added().select(name=cmd_name)
            found = next(iter(added)).load() if added else None
        return found if isinstance(found, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our output that has gone is no failure."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_output()  # as `head` does
            return OK
        return code

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        """Complete our commands' names without importing them."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=_COMMANDS[name][1] if name in _COMMANDS else None)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List our commands without importing them."""
        rows = []
        for name in self.list_commands(ctx):
            if name in _COMMANDS:
                rows.append((name, _COMMANDS[name][1]))
            elif command := self.get_command(ctx, name):
                rows.append((name, command.get_short_help_str()))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with dead letters, "
    "4 stopped by a budget, 130 interrupted. After 1, 4 and 130, run the same command "
    "again to go on.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(
    package_name="aip-pipeline", prog_name="aip", message="%(prog)s %(version)s"
)
@click.pass_context
def aip(ctx: click.Context, *, debug: bool) -> None:
    """Get text through an embedding model into a store, and passages out of it.

    \b
    Start here:
      aip ingest docs README.md          read, chunk, embed, store in aip.db
      aip search "how do I resume"       find passages, with file and line
      aip status                         see what is stored, and what runs
    \b
    Complete commands and options by Tab, in bash:
      eval "$(_AIP_COMPLETE=bash_source aip)"
    """
    del debug  # read by `main`, which is where errors end
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> None:
    """Run `aip` and exit with its code; an error is one line on stderr."""
    given = list(sys.argv[1:] if args is None else args)
    try:
        code = aip.main(given, prog_name="aip", standalone_mode=False)
    except click.UsageError as error:
        hint = f"see `{error.ctx.command_path} --help`" if error.ctx else ""
        if "--json" in given and "ingest" in given:
            _print_no_report(error)
        code = fail(error.format_message().rstrip("."), hint, code=USAGE)
    except PipelineError as error:
        if "--debug" in given:
            raise
        code = fail(str(error), code=error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = INTERRUPTED
    except Exception as error:
        if "--debug" in given:
            raise
        code = _unexpected(error)
    sys.exit(code if isinstance(code, int) else OK)


def _print_no_report(error: click.UsageError) -> None:
    """Print the JSON object of a run that never was."""
    from aip_pipeline._report import IngestReport  # noqa: PLC0415  # only to fail
    from aip_pipeline.cli._outcome import failed, print_report  # noqa: PLC0415  # too

    print_report(IngestReport(), failed(error))


def _unexpected(error: Exception) -> int:
    """Say what nobody foresaw, but that stdout, which has no name, takes no more."""
    if not isinstance(error, OSError) or error.errno not in _FULL or error.filename:
        what = f"unexpected {type(error).__name__}: {error}"
        return fail(what, "run again with --debug and report it", code=FAILED)
    _drop_output()
    return fail(
        f"the output could not be written ({error.strerror})",
        "check where stdout goes to; what was stored is kept",
        code=FAILED,
    )


def _drop_output() -> None:
    """Let what is still buffered go nowhere: it must not be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _added() -> EntryPoints:
    """Find the commands that other distributions add."""
    from importlib.metadata import entry_points  # noqa: PLC0415  # our own need none

    return entry_points(group="aip.commands")


def fail(*said: str, code: int) -> int:
    """Say in one line what went wrong; return the exit code."""
    sentence = ": ".join(part for part in said if part)
    print_line(f"aip: error: {sentence}", err=True)
    return code
