"""Every action of the screen, once: keys, footer, `?`, palette, `docs/keys.md` and `keymap.yaml` come from here.

Rule of the keys: lower-case looks, UPPER-CASE acts. An acting action has a confirm level and a dialog, and its keys are
upper-case letters; a looking action never has one, but for those that pagers have taught everybody (`G`, `N`, `T`).
"""

from __future__ import annotations

from dataclasses import dataclass

from plasmatui.model.words import Role

LOOKING_CAPITALS = frozenset("GNT")
"""Upper-case keys that look: last row, previous hit, elapsed time."""

SCOPES = {
    "global": "Everywhere",
    "nodes": "Nodes",
    "node": "Node detail",
    "consoles": "Consoles",
    "writing": "Writing to a console (after the prefix)",
    "logs": "Logs",
    "operations": "Operations",
    "health": "Health: services and raft groups",
    "boot": "Boot: services, images, drift, unknown machines, events",
    "checks": "Checklist before a deployment",
    "start": "When there is no rack to show",
    "dialog": "Dialogs",
}
"""Scope -> its title. A key means the same thing in a scope and, unless overridden there, in `global`."""


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        id: dotted, for ever; users name it in `keymap.yaml`.
        keys: as a person types them ("P", "ctrl+r", "/", "space").
        scope: where its keys hold.
        call: method of the scope's view (`action_...` without the prefix); "" when a widget handles it itself.
        confirm: 0 looks; 1 reversible, 2 disruptive, 3 destructive.
        dialog: what asks before an acting action does anything.
        footer: short word for the footer, "" when it is not shown there.
        word: the command of the `:` line that does the same, for help.
        role: what one must be to do it; the engine is asked by whoever holds it, and enforces it.
    """

    id: str
    title: str
    keys: tuple[str, ...]
    scope: str
    call: str
    help: str = ""
    confirm: int = 0
    dialog: str = ""
    footer: str = ""
    word: str = ""
    role: Role = Role.VIEWER

    @property
    def acts(self) -> bool:
        """Whether it changes a machine."""
        return self.confirm > 0


def _a(
    id: str,  # noqa: A002 - the field's name
    keys: str,
    title: str,
    call: str,
    *,
    help: str = "",  # noqa: A002 - the field's name
    confirm: int = 0,
    dialog: str = "",
    footer: str = "",
    word: str = "",
    role: Role | None = None,
) -> Action:
    role = role or (Role.OPERATOR if confirm else Role.VIEWER)
    return Action(id, title, tuple(keys.split()), id.split(".")[0], call, help, confirm, dialog, footer, word, role)


def _acts(scope: str, which: str = "the marked nodes") -> tuple[Action, ...]:
    """What acts on nodes, the same in every scope that has nodes to act on."""
    return (
        _a(f"{scope}.power", "P", "Power ...", "power", confirm=2, dialog="PowerDialog", footer="power",
           word="power on SET"),
        _a(f"{scope}.boot", "B", "Boot ...", "boot", confirm=2, dialog="BootDialog", footer="boot", word="boot SET",
           help="The installer from the network, or the system on the disk; watched until it is up."),
        _a(f"{scope}.install", "I", "Install, provision or add ...", "install", confirm=3,
           role=Role.ADMIN, dialog="InstallDialog",
           footer="install", word="install SET",
           help="Shows the disks that would be wiped; provision also boots the installer and waits for the cluster; "
                "add wants a cluster that lives."),
        _a(f"{scope}.drain", "D", "Drain ...", "drain", confirm=2, dialog="DrainDialog", footer="drain",
           word="drain SET", help="Out of service: balancer, VMs moved, services stopped in order."),
        _a(f"{scope}.undrain", "U", "Undrain ...", "undrain", confirm=1, dialog="UndrainDialog", word="undrain SET",
           help="Back into service."),
        _a(f"{scope}.update", "O", "Roll out an update ...", "update", confirm=2, dialog="UpdateDialog",
           word="update SET", help="To the systems that the flake describes: tried, judged, made permanent or undone."),
        _a(f"{scope}.rollback", "R", "Roll back ...", "rollback", confirm=2, dialog="RollbackDialog",
           word="rollback SET", help="Lists the generations on the nodes to pick one of, now or at the next boot."),
        _a(f"{scope}.backup", "", "Back up ...", "backup", confirm=2, role=Role.ADMIN, dialog="BackupDialog",
           word="backup SET", help="Data and configuration, one node at a time, its services stopped meanwhile."),
        _a(f"{scope}.restore", "", "Restore ...", "restore", confirm=3, role=Role.ADMIN, dialog="RestoreDialog",
           word="restore DIR SET", help="From a backup that is compared first; the old data are kept aside."),
        _a(f"{scope}.recover", "", "Recover ...", "recover", confirm=2, dialog="RecoverDialog", word="recover SET",
           help="Sees what is wrong, and does the smallest thing that mends it; nothing that wipes disks."),
        _a(f"{scope}.reprovision", "X", "Replace, reprovision or decommission ...", "reprovision", confirm=3,
           role=Role.ADMIN, dialog="ReplaceDialog", word="replace SET",
           help="A machine in a dead one's place; drained and provisioned anew; or out of the cluster for good."),
        _a(f"{scope}.bootdev", "", "Boot device ...", "bootdev", confirm=1, dialog="BootDeviceDialog",
           word="bootdev pxe SET", help="Sets the override for the next boot and does nothing else."),
        _a(f"{scope}.certs", "", "Rotate certificates ...", "rotate_certs", confirm=2,
           role=Role.ADMIN, dialog="CertsRotateDialog",
           word="certs rotate SET", help="New ones from the cluster's CA, taken by one service after the other."),
        _a(f"{scope}.sshkeys", "", "Rotate the SSH key ...", "rotate_keys", confirm=2, dialog="SshKeysRotateDialog",
           word="sshkeys rotate SET", help="A new provisioning key, tried on every node before the old one goes."),
        _a(f"{scope}.all", "A", f"All actions for {which} ...", "all_actions", confirm=1, dialog="ActionMenu",
           footer="all"),
    )  # fmt: skip


def _marks(scope: str) -> tuple[Action, ...]:
    """What is said about nodes for everybody; capitals, since others notice it."""
    return (
        _a(f"{scope}.lock", "L", "Lock, or unlock ...", "lock", confirm=1, dialog="LockDialog", word="lock SET REASON",
           help="Changes no machine: keeps everybody else's orders and writing from it, with your name and reason."),
        _a(f"{scope}.note", "M", "Note about the node ...", "note", confirm=1, dialog="NoteDialog",
           word="note NODE TEXT", help="Changes no machine: everybody sees it in the node's details."),
    )  # fmt: skip


ACTIONS: tuple[Action, ...] = (
    _a("global.nodes", "1", "View: Nodes", "view('nodes')", word="nodes"),
    _a("global.consoles", "2", "View: Consoles", "view('consoles')", word="consoles"),
    _a("global.logs", "3", "View: Logs", "view('logs')", word="logs"),
    _a("global.operations", "4", "View: Operations", "view('operations')", word="ops"),
    _a("global.health", "5", "View: Health", "view('health')", word="health"),
    _a("global.boot", "6", "View: Boot", "view('boot')", word="events"),
    _a("global.checks", "", "Checklist before a deployment", "checks", word="check",
       help="Asks machines and servers what a deployment needs. Changes nothing."),
    _a("global.help", "? f1", "Help for this screen", "help", footer="help", word="help"),
    _a("global.command", ":", "Command line", "command", footer="command",
       help="The command line's words, with completion (tab) and history (up, down)."),
    _a("global.palette", "ctrl+p", "Palette of all actions", "palette"),
    _a("global.last", "-", "Last view", "last_view"),
    _a("global.freeze", "=", "Freeze, or go on", "freeze",
       help="Nothing moves while frozen; a chip counts what is new."),
    _a("global.earlier", "<", "A minute earlier", "minute(-1)", word="at -10m",
       help="Shows what was known then, on every view; nothing acts meanwhile. :at TIME goes anywhere, :now back."),
    _a("global.later", ">", "A minute later, until it is now", "minute(1)", word="now"),
    _a("global.event_before", "{", "To the event before", "event(-1)"),
    _a("global.event_after", "}", "To the event after", "event(1)"),
    _a("global.refresh", "ctrl+r", "Ask the BMCs now; in Health, the services", "refresh", word="refresh",
       help="The marked nodes, else the one under the cursor; refused BMCs, too. Without an engine: start one."),
    _a("global.log", "@", "Command log", "command_log",
       help="Who ordered what, and each command that left the engine; what is typed narrows it."),
    _a("global.who", "", "Who is attached", "who", word="who",
       help="Users with their roles, clients, since when, and what they look at."),
    _a("global.problems", "!", "Problems list", "problems",
       help="All findings, the worst first, with cause and remedy."),
    _a("global.docs", "", "Documentation", "docs", word="docs", help="The pages of docs/, to be read here."),
    _a("global.back", "esc", "One step back", "back",
       help="Search, filter, range, marks, zoom, screen: the last first."),
    _a("global.quit", "q", "Back; at the top: leave", "quit", word="q",
       help="The engine, its operations and recordings go on without the screen."),
    _a("global.interrupt", "ctrl+c", "How to leave; twice: leave", "interrupt"),
    _a("global.zoom", "+", "Zoom the pane", "zoom"),
    _a("global.unzoom", "_", "Zoom back", "unzoom"),
    _a("nodes.open", "enter", "Open the node", "open", footer="open"),
    _a("nodes.console", "c", "Console of the node", "console", footer="console", word="console NODE"),
    _a("nodes.logs", "l", "Logs of the node, or of the marked ones", "logs"),
    _a("nodes.filter", "/", "Filter", "filter", footer="filter",
       help="Words that all match: regular expression, field=value, node set (node[01-03], @worker); ! inverts."),
    _a("nodes.mark", "space", "Mark, or unmark", "mark", footer="mark"),
    _a("nodes.range", "v", "Mark a range", "mark_range",
       help="Begin here; move; press again to mark what lies between."),
    _a("nodes.unmark", "ctrl+\\", "Clear all marks", "unmark", word="unmark"),
    _a("nodes.order", "o", "Order by ...", "order", help="The same column again turns the order round."),
    _a("nodes.problems", "x", "Problems only", "problems_only"),
    _a("nodes.wide", "w", "All columns, or those that fit", "wide"),
    _a("nodes.pane", "p", "Detail pane on, off", "pane"),
    _a("nodes.next_tab", "]", "Next tab of the pane", "tab(1)"),
    _a("nodes.previous_tab", "[", "Previous tab of the pane", "tab(-1)"),
    _a("nodes.evidence", "e", "Evidence lines of the boot, on and off", "evidence"),
    _a("nodes.copy", "y", "Copy ...", "copy", help="Name, address, MAC, row or CLI command; also saved to a file."),
    *_acts("nodes"),
    *_marks("nodes"),
    _a("nodes.down", "down j", "Down", "move(1)"),
    _a("nodes.up", "up k", "Up", "move(-1)"),
    _a("nodes.first", "home g", "First row", "ends(-1)"),
    _a("nodes.last", "end G", "Last row", "ends(1)"),
    _a("nodes.page_down", "pgdn ctrl+f", "Page down", "page(1)"),
    _a("nodes.page_up", "pgup", "Page up", "page(-1)"),
    _a("nodes.half_down", "ctrl+d", "Half a page down", "page(0.5)"),
    _a("nodes.half_up", "ctrl+u", "Half a page up", "page(-0.5)"),
    _a("node.next_tab", "]", "Next tab", "tab(1)", footer="next tab"),
    _a("node.previous_tab", "[", "Previous tab", "tab(-1)"),
    _a("node.evidence", "e", "Evidence lines of the boot, on and off", "evidence", footer="evidence"),
    _a("node.console", "c", "Console of the node", "console", footer="console"),
    _a("node.logs", "l", "Logs of the node", "logs", footer="logs"),
    _a("node.copy", "y", "Copy ...", "copy"),
    *_acts("node", "the node"),
    *_marks("node"),
    _a("consoles.layout", "t", "Layout: 1, 2, 4, 6, 9 tiles", "layout", footer="layout"),
    _a("consoles.write", "i", "Take the pen and write", "write", role=Role.OPERATOR, footer="write",
       help="Whoever holds the pen is named, and asked for it. Then every key but the prefix ctrl+e goes to the node."),
    _a("consoles.zoom", "enter", "Zoom the tile", "zoom_tile", footer="zoom"),
    _a("consoles.next", "tab right", "Next tile", "focus_tile(1)"),
    _a("consoles.previous", "shift+tab left", "Previous tile", "focus_tile(-1)"),
    _a("consoles.next_page", "]", "Next page of nodes", "page(1)", footer="page"),
    _a("consoles.previous_page", "[", "Previous page of nodes", "page(-1)"),
    _a("consoles.search", "/", "Search the scrollback", "search", footer="search"),
    _a("consoles.next_hit", "n", "Next hit", "hit(1)"),
    _a("consoles.previous_hit", "N", "Previous hit", "hit(-1)"),
    _a("consoles.scroll", "pgup pgdn up down", "Scroll back; the last line follows again", ""),
    _a("consoles.save", "s", "Save the raw recording to a file", "save"),
    _a("consoles.reopen", "", "Close and open the console", "reopen", confirm=1, dialog="ConfirmDialog",
       word="console NODE --steal", help="Ends another client's session on the BMC. Also ctrl+e o."),
    _a("consoles.prefix", "ctrl+e", "Prefix: the next key is one of those under Writing", "prefix"),
    *_acts("consoles", "the node"),
    _a("writing.leave", ".", "Leave: give back the pen", "", footer="leave"),
    _a("writing.break", "b", "Send a break", "", footer="break"),
    _a("writing.reopen", "o", "Close and open the console", "", footer="reopen"),
    _a("writing.literal", "e", "Send ctrl+e itself", "", footer="send ctrl+e"),
    _a("writing.search", "/", "Search the scrollback", "", footer="search"),
    _a("writing.save", "l", "Save the raw recording to a file", "", footer="save raw"),
    _a("writing.help", "?", "List of these keys", "", footer="list"),
    _a("logs.search", "/", "Search everything that is kept", "search", footer="search",
       help="A regular expression; case counts when it has an upper-case letter. At the right edge: hits and errors "
            "among all that is kept, and what of it is in sight."),
    _a("logs.next_hit", "n", "Next hit", "hit(1)"),
    _a("logs.previous_hit", "N", "Previous hit", "hit(-1)"),
    _a("logs.error", "e", "The error before", "error", footer="error"),
    _a("logs.follow", "s", "Follow, or stand still", "follow", footer="follow",
       help="Moving up stands still, too; what is new is counted. G follows again."),
    _a("logs.include", "f", "Only lines with ...", "include", footer="with"),
    _a("logs.exclude", "x", "Only lines without ...", "exclude", footer="without"),
    _a("logs.nodes", "o", "Only the marked nodes, or the line's node; again: all", "nodes", footer="node"),
    _a("logs.sources", "a", "Sources: which are shown, how each stands", "sources", footer="sources"),
    _a("logs.columns", "c", "Merged, or side by side: by source, by node", "columns", footer="columns",
       help="By node: the marked ones, else those that boot. Columns stay at the same time; tab goes through them."),
    _a("logs.next_column", "tab", "Next column", "column(1)"),
    _a("logs.previous_column", "shift+tab", "Previous column", "column(-1)"),
    _a("logs.stamps", "t", "Times: of the day, with the date, none", "stamps"),
    _a("logs.mark", "m", "Mark the line", "mark"),
    _a("logs.elapsed", "T", "Time since the marked line, or of the day", "elapsed"),
    _a("logs.wrap", "w", "Wrap long lines, or cut them", "wrap",
       help="Wrapped, a line is shown whole, as it was written."),
    _a("logs.copy", "y", "Copy the line", "copy_line"),
    _a("logs.save", "ctrl+s", "Save all lines that pass to a file", "save"),
    _a("logs.down", "down j", "Down", "move(1)"),
    _a("logs.up", "up k", "Up", "move(-1)"),
    _a("logs.page_down", "pgdn ctrl+f", "Page down", "page(1)"),
    _a("logs.page_up", "pgup", "Page up", "page(-1)"),
    _a("logs.half_down", "ctrl+d", "Half a page down", "page(0.5)"),
    _a("logs.half_up", "ctrl+u", "Half a page up", "page(-0.5)"),
    _a("logs.first", "home g", "The oldest that is kept", "ends(-1)"),
    _a("logs.last", "end G", "The newest; follow again", "ends(1)"),
    _a("operations.open", "enter", "Open the operation, the node's steps or the nodes of a line; or close them", "open",
       footer="open"),
    _a("operations.log", "l tab", "Log of the node in front, or the list", "log", footer="log"),
    _a("operations.answer", "Q", "Answer what a held node asks ...", "answer", confirm=2, dialog="AnswerDialog",
       footer="answer", word="ops release NUMBER", help="Answers that may delete data want the node's name typed."),
    _a("operations.hold", "H", "Hold the operation, or let it go on ...", "hold", confirm=2, dialog="ConfirmDialog",
       footer="hold", word="ops hold NUMBER", help="Nothing new is begun; a step that is under way is finished."),
    _a("operations.cancel", "K", "Cancel the operation ...", "cancel", confirm=2, dialog="ConfirmDialog",
       footer="cancel", word="ops cancel NUMBER"),
    _a("operations.retry", "F", "Try the failed nodes again ...", "retry", confirm=3, dialog="RetryDialog",
       footer="retry", word="ops retry NUMBER",
       help="Asks as the order itself does; what was wiped with success is not wiped again."),
    _a("operations.console", "c", "Console of the node", "console", footer="console"),
    _a("operations.timeline", "b", "Boot timeline of the node", "boot_tab"),
    _a("operations.copy", "y", "Copy: CLI command, nodes, message", "copy", footer="copy"),
    _a("operations.search", "/", "Search the log", "search", footer="search"),
    _a("operations.next_hit", "n", "Next hit", "hit(1)"),
    _a("operations.previous_hit", "N", "Previous hit", "hit(-1)"),
    _a("operations.follow", "s", "The log follows, or stands still", "follow",
       help="Moving up in it stands still, too; what is new is counted. G follows again."),
    _a("operations.wrap", "w", "Wrap long lines of the log, or cut them", "wrap"),
    _a("operations.save", "ctrl+s", "Save the log to a file", "save"),
    _a("operations.down", "down j", "Down", "move(1)"),
    _a("operations.up", "up k", "Up", "move(-1)"),
    _a("operations.page_down", "pgdn ctrl+f", "Page down", "page(1)"),
    _a("operations.page_up", "pgup", "Page up", "page(-1)"),
    _a("operations.half_down", "ctrl+d", "Half a page down", "page(0.5)"),
    _a("operations.half_up", "ctrl+u", "Half a page up", "page(-0.5)"),
    _a("operations.first", "home g", "The newest operation; the log's first line", "ends(-1)"),
    _a("operations.last", "end G", "The oldest operation; the log's end, followed", "ends(1)"),
    *_acts("operations", "the node"),
    _a("health.open", "enter", "Open the node", "open", footer="open"),
    _a("health.left", "left shift+tab", "Service to the left", "column(-1)"),
    _a("health.right", "right tab", "Service to the right", "column(1)", footer="service",
       help="Below stands what the service under the cursor says, since when, how fast, and what to do."),
    _a("health.console", "c", "Console of the node", "console", footer="console"),
    _a("health.logs", "l", "Logs of the node", "logs", footer="logs"),
    _a("health.journal", "u", "Journal of the service", "journal", footer="journal",
       help="The newest lines that the service under the cursor, and its first-boot unit, wrote; over SSH."),
    _a("health.timeline", "b", "Boot timeline of the node", "boot_tab", footer="boot"),
    _a("health.filter", "/", "Filter", "filter", footer="filter",
       help="As in Nodes: regular expression, field=value (health=failed), node set; ! inverts."),
    _a("health.problems", "x", "Problems only", "problems_only"),
    _a("health.systems", "s", "Ask the systems over SSH now", "systems",
       help="What runs and boots next, first-boot units, failed units. By itself that is asked every ten minutes."),
    _a("health.declared", "f", "Compare the node's system with the flake", "declared",
       help="Evaluates on this host what the flake declares for it; that may take minutes."),
    _a("health.copy", "y", "Copy ...", "copy"),
    _a("health.down", "down j", "Down", "move(1)"),
    _a("health.up", "up k", "Up", "move(-1)"),
    _a("health.first", "home g", "First row", "ends(-1)"),
    _a("health.last", "end G", "Last row", "ends(1)"),
    _a("health.page_down", "pgdn ctrl+f", "Page down", "page(1)"),
    _a("health.page_up", "pgup", "Page up", "page(-1)"),
    _a("health.replication", "V", "Verify replication ...", "replication", confirm=1, dialog="ConfirmDialog",
       word="replication", help="Writes a value into each raft group and reads it at every other member."),
    *_acts("health", "the node"),
    _a("boot.enrol", "E", "Enrol the unknown machine ...", "enrol", confirm=1,
       role=Role.ADMIN, dialog="EnrolDialog", footer="enrol",
       help="Asks for name and addresses, shows the change of the inventory file, and writes it when accepted."),
    _a("boot.activate", "A", "Let machines boot this version of an image ...", "activate", confirm=2, role=Role.ADMIN,
       dialog="ConfirmDialog", footer="activate",
       help="Those that boot from the network from now on; machines that run are not touched."),
    _a("boot.rollback", "R", "Let machines boot the version that was active before ...", "rollback", confirm=2,
       role=Role.ADMIN,
       dialog="ConfirmDialog", help="Of the profile of the version under the cursor."),
    _a("boot.open", "enter", "Open: a file's diff, a version's manifest, a service's log", "open", footer="open"),
    _a("boot.next_section", "tab", "Next section", "section(1)", footer="section"),
    _a("boot.previous_section", "shift+tab", "Previous section", "section(-1)"),
    _a("boot.copy", "y", "Copy the command that mends it", "copy", footer="copy fix",
       help="Of what is under the cursor; of an unknown machine its MAC address."),
    _a("boot.verify", "v", "Read the version of an image and check it", "verify", footer="verify",
       help="Every byte, with its SHA-256; esc ends it. Changes nothing."),
    _a("boot.again", "r", "Look again now", "again"),
    _a("boot.checks", "c", "Checklist before a deployment", "checks", footer="checklist", word="check"),
    _a("boot.filter", "/", "Filter the events", "filter", footer="filter"),
    _a("boot.older", "o", "Fetch older events", "older", footer="older"),
    _a("boot.down", "down j", "Down", "move(1)"),
    _a("boot.up", "up k", "Up", "move(-1)"),
    _a("boot.page_down", "pgdn ctrl+f", "Page down", "page(1)"),
    _a("boot.page_up", "pgup", "Page up", "page(-1)"),
    _a("boot.first", "home g", "The first; of the events the oldest", "ends(-1)"),
    _a("boot.last", "end G", "The last; of the events the newest, followed again", "ends(1)"),
    _a("checks.run", "r", "Go through it again", "run", footer="again", help="Asks everything anew; changes nothing."),
    _a("checks.filter", "/", "Only checks with these words", "filter", footer="filter",
       help="Words that all stand in id, group, state, reason, fix or nodes; failed, warning and ok are such."),
    _a("checks.copy_fix", "y", "Copy what to do about the check", "copy_fix", footer="copy fix"),
    _a("checks.down", "down j", "Next check", "move(1)"),
    _a("checks.up", "up k", "Previous check", "move(-1)"),
    _a("checks.page_down", "pgdn ctrl+f", "Page down", "page(1)"),
    _a("checks.page_up", "pgup", "Page up", "page(-1)"),
    _a("checks.half_down", "ctrl+d", "Half a page down", "page(0.5)"),
    _a("checks.half_up", "ctrl+u", "Half a page up", "page(-0.5)"),
    _a("checks.first", "home g", "The first check", "ends(-1)"),
    _a("checks.last", "end G", "The last check", "ends(1)"),
    _a("start.sim", "s", "Open a simulated rack", "sim", footer="simulated rack",
       help="Twelve machines that speak the real protocols; nothing of yours is touched. The same as plasmatui --sim."),
    _a("start.write", "w", "Write a first inventory, with comments", "write", footer="write an inventory",
       help="to be edited before it is used."),
    _a("start.again", "r", "Look again", "again", footer="look again",
       help="Opens the screen when the inventory can be used by now."),
    _a("start.docs", "d", "Read the documentation here", "docs", footer="documentation",
       help="First steps, the inventory, every task by itself."),
    _a("start.leave", "q esc ctrl+c", "Leave", "leave", footer="leave"),
    _a("dialog.accept", "y", "Yes, do it", "", help="Level 2 ignores it for the first 500 ms. Level 3 wants a text."),
    _a("dialog.copy", "=", "Copy the command line that does the same", "", help="Of the plan that is shown."),
    _a("dialog.cancel", "esc n", "Cancel", ""),
    _a("dialog.move", "tab shift+tab", "Next field, previous field", ""),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}


def is_capital(key: str) -> bool:
    """Whether a key is a single upper-case letter."""
    return len(key) == 1 and key.isupper()


def check(keys: dict[str, tuple[str, ...]]) -> list[str]:
    """What is wrong with these keys by action id: clashes, and acts on keys that look. [] when nothing is."""
    problems: list[str] = []
    owners: dict[tuple[str, str], str] = {}
    for action in ACTIONS:
        for key in keys[action.id]:
            other = owners.setdefault((action.scope, key), action.id)
            if other != action.id:
                problems.append(f"{key!r} is claimed by both {other} and {action.id}")
            if action.acts and not is_capital(key):
                problems.append(f"{action.id} acts on machines and may only have an upper-case letter, not {key!r}")
            if not action.acts and is_capital(key) and key not in LOOKING_CAPITALS:
                problems.append(f"{action.id} only looks and may not have the upper-case letter {key!r}")
    return problems
