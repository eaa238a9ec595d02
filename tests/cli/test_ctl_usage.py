# SPDX-License-Identifier: Apache-2.0
"""What fleetctl says about itself and about mistakes on its command line."""
import subprocess

import pytest

NOUNS = ["login", "logout", "whoami", "module", "version", "artifact", "release", "device", "plan", "rollout", "explain", "freeze",
         "simulate",
         "token", "audit", "webhook", "delta", "server", "completion", "help"]


def test_help_lists_every_noun(ctl):
    """Without arguments fleetctl shows its help, and all nouns are in it."""
    result = ctl()
    assert result.code == 0
    for noun in NOUNS:
        assert f"\n  {noun} " in result.out
    assert "debug" not in result.out


def commands(ctl):
    """Every command of the tree, read from the helps themselves."""
    found, queue = [], [[]]
    while queue:
        words = queue.pop()
        found.append(words)
        out = ctl("help", *words).out
        if "\nCommands:\n" in out:
            block = out.split("\nCommands:\n")[1].split("\n\n")[0]
            queue += [words + [line.split()[0]] for line in block.splitlines() if line[2:3] != " "]
    return found


def test_every_command_explains_itself_within_the_width(ctl):
    """Each command of the tree has a --help with usage, not wider than 80 columns (but for examples)."""
    tree = commands(ctl)
    assert len(tree) > 50
    for words in tree:
        result = ctl(*words, "--help")
        assert result.code == 0, words
        assert "\nUsage: fleetctl" in result.out
        for line in result.out.split("\nExamples:")[0].splitlines():
            assert len(line) <= 80 or line.startswith("Usage:"), (words, line)


def test_help_is_found_in_every_way(ctl):
    """--help, help before and help between the words are the same; who asks for help is not blamed for the rest."""
    expected = ctl("rollout", "create", "--help").out
    assert ctl("help", "rollout", "create").out == expected
    assert ctl("rollout", "help", "create").out == expected
    assert ctl("rollout", "create", "-h", "--nonsense").out == expected
    assert ctl("rollout", "-h").out == ctl("rollout", "help").out == ctl("help", "rollout").out


def test_version(ctl):
    """--version names the program and its version."""
    result = ctl("--version")
    assert result.code == 0
    assert result.out.startswith("fleetctl 0.")


@pytest.mark.parametrize("args, says", [
    (["vversion", "ls"], "did you mean version?"),
    (["rollout", "sttart", "x"], "did you mean start?"),
    (["publish", "app"], "did you mean version publish?"),
    (["promote", "r"], "did you mean rollout promote?"),
    (["rollout", "abort", "r"], "did you mean stop?"),
    (["rollout", "undo", "r"], "did you mean rollback?"),
    (["webhook", "rm", "w"], "did you mean delete?"),
    (["rollout", "status", "r"], "did you mean stats?"),
    (["frobnicate"], "there is no command fleetctl frobnicate\n"),
    (["device", "ls", "--selctor", "x"], "did you mean --selector?"),
    (["whoami", "--token", "flt_x"], "did you mean --token-file?"),
    (["module", "create"], "MODULE is missing"),
    (["version", "show", "app"], "VERSION is missing"),
    (["release", "create", "r1"], "ENTRY is missing"),
    (["module", "show", "a", "b"], '"b" is too much'),
    (["module", "create", "a"], "say what it is: --kind"),
    (["module", "create", "a", "--kind", "wsm"], 'did you mean "wasm"?'),
    (["module", "create", "a", "--kind", "elephant"], "it takes one of wasm, container, firmware, file"),
    (["device", "ls", "--limit", "many"], "takes a number from 0 up"),
    (["device", "ls", "--limit"], "--limit needs a value: --limit N"),
    (["device", "ls", "--all=yes"], "--all takes no value"),
    (["rollout", "watch", "r", "--timeout", "soon"], "is not a duration; write it like"),
    (["rollout", "watch", "r", "--until", "tomorrow"], "--until takes complete"),
    (["rollout", "create", "r"], "say what the devices shall get: --release"),
    (["rollout", "create", "r", "--release", "x", "--success", "120"], "a percentage from 0 to 100"),
    (["rollout", "create", "r", "--release", "x", "--wave", "some"], "--wave takes 5 (devices), 10%"),
    (["rollout", "promote", "r", "--stage", "first"], "is no stage; write L0.W1"),
    (["release", "create", "r", "app"], '"app" is no entry'),
    (["release", "create", "r", "app@1:perhaps"], "is no entry"),
    (["release", "create", "r", "app@1.0.0:absent"], "is no entry"),
    (["token", "create", "ci"], "say what it may do: --role"),
    (["token", "create", "ci", "--role", "king"], 'there is no role "king"'),
    (["version", "publish", "app", "1.0.0"], "no file is given"),
    (["version", "publish", "app", "1.0.0", "--variant", "attribute.arch==arm64"], "--variant needs a selector and a file"),
    (["version", "publish", "app", "1.0.0", "--without-bytes", "--requires", "lib"], "--requires needs NAME@RANGE"),
    (["device", "label", "d"], "say what to change"),
    (["device", "label", "d", "justakey"], "KEY=VALUE sets one, KEY- removes it"),
    (["completion", "zsh"], "only for bash"),
    (["help", "rollout", "sttart"], "did you mean start?"),
    (["rollout"], "rollout what?"),
    (["-x"], "there is no option -x"),
])
def test_a_mistake_is_named_and_exits_2(ctl, mock, args, says):
    """A mistake on the command line is named with the way out, exits 2 and asks the server nothing."""
    result = ctl(*args)
    assert result.code == 2, result
    assert says in result.err
    assert result.out == ""
    assert mock.requests == []


def test_options_stand_anywhere(ctl, mock):
    """Global options are taken before and between the words, and -- ends them."""
    assert ctl("--json", "module", "ls").json["items"] == []
    assert ctl("module", "--json", "ls").json["items"] == []
    assert ctl("module", "ls", "-j").json["items"] == []
    assert ctl("module", "show", "--", "--odd").code == 4
    assert mock.asked("GET", "^/api/v1/modules/--odd$")


def test_completion_is_bash_and_knows_the_tree(ctl, tmp_path):
    """The completion script is valid bash and completes commands, options, choices and names."""
    script = tmp_path / "fleetctl.bash"
    script.write_text(ctl("completion", "bash").out)

    def complete(*words):
        quoted = " ".join(f"'{w}'" for w in words)
        program = (f"source {script}; fleetctl() {{ [ \"$*\" = 'rollout ls -q' ] && echo november; }}; "
                   f"timeout() {{ shift; \"$@\"; }}; export -f fleetctl; "
                   f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _fleetctl; echo ${{COMPREPLY[@]}}")
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    assert complete("fleetctl", "ro") == ["rollout"]
    assert "publish" in complete("fleetctl", "version", "")
    assert complete("fleetctl", "rollout", "create", "x", "--rel") == ["--release"]
    assert complete("fleetctl", "module", "create", "x", "--kind", "w") == ["wasm"]
    assert complete("fleetctl", "rollout", "start", "") == ["november"]
    assert complete("fleetctl", "--server", "http://x", "rollout", "watch", "nov") == ["november"]


def test_output_that_cannot_be_written_is_a_failure(ctl):
    """A full disk behind stdout is told and exits not 0."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([ctl.program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, env=ctl.env,
                              check=False)
    assert done.returncode == 10
    assert "cannot write to standard output" in done.stderr
