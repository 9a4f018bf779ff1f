"""A thousand records: seconds to build the site, and until the board's first page can be used.

Times are of the processor, so that a busy machine does not decide: the build's own process, and the page's main thread.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.extend(str(Path(__file__).resolve().parents[1] / name) for name in ("sharing", "leaderboard"))

from test_scale import RECORDS, write_records

from browser import Watched, launched
from nharness_leaderboard.site.build import build_site


def main():
    with tempfile.TemporaryDirectory() as folder:
        results, site = Path(folder) / "results", Path(folder) / "site"
        write_records(results)
        started = time.process_time()
        build_site(results, site)
        print(f"build of {RECORDS} records: {time.process_time() - started:.1f} s (goal 30)")
        with launched() as browser:
            watched = Watched(browser)
            session = watched.context.new_cdp_session(watched.page)
            session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
            session.send("Performance.enable")
            watched.open(site / "records.html")
            spent = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
            print(f"main thread until the board is drawn: {spent['TaskDuration']:.2f} s (goal 1)")
            watched.close()


if __name__ == "__main__":
    main()
