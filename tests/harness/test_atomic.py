"""Writing that is all or nothing: killed before any of its lines, it leaves the old content or the new one."""

import json
import subprocess
import sys
import textwrap

SCRIPT = """
    import json
    import os
    import signal
    import sys
    from pathlib import Path

    from nharness import atomic

    path, old, new = Path(sys.argv[1]), b"old" * 10_000, b"new!" * 10_000
    found = []
    while True:
        path.write_bytes(old)
        pid = os.fork()
        if not pid:
            lines = 0

            def trace(frame, event, argument):
                global lines
                if frame.f_code.co_filename != atomic.__file__:
                    return None
                lines += 1
                if lines > len(found):
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            atomic.write_bytes(path, new)
            sys.settrace(None)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        content = path.read_bytes()
        found.append("old" if content == old else "new" if content == new else "torn")
        if not killed:
            break
    print(json.dumps(found))
"""


def test_killed_before_any_line_the_file_is_whole(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), tmp_path / "file.json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 10
    assert found == sorted(found, reverse=True)  # old until it is new, and never torn
    assert set(found) == {"old", "new"}
    assert len(list(tmp_path.glob(".file.json.*.part"))) < len(found)  # what a killed writer leaves is no entry
