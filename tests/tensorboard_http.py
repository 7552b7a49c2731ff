"""Starts TensorBoard on a log directory, once with each of its two loaders, and compares what it
serves with what was logged.

    python3 tests/tensorboard_http.py LOGDIR EXPECTED.json

`tests/tensorboard_http.rs` writes both and runs this. Prints a line for each kind; exits 1 at the first
difference.
"""

import json
import math
import re
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SAMPLES = ",".join(
    f"{plugin}=100000"
    for plugin in ("scalars", "histograms", "images", "audio", "text", "pr_curves", "mesh", "tensors")
)


class TensorBoard:
    def __init__(self, logdir, fast):
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--port", "0"]
        command += ["--load_fast", "true" if fast else "false", "--samples_per_plugin", SAMPLES]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r"http://[^ ]*:(\d+)/", line)
            if found:
                self.base = f"http://localhost:{found.group(1)}/data/"
                return
        raise SystemExit("TensorBoard did not start:\n" + "".join(self.log))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def raw(self, path, **query):
        url = self.base + path + ("?" + urllib.parse.urlencode(query) if query else "")
        with urllib.request.urlopen(url) as response:
            return response.read()

    def get(self, path, **query):
        return json.loads(self.raw(path, **query))

    def post(self, path, body):
        request = urllib.request.Request(
            self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read())


def same(got, want, what):
    if got != want:
        raise SystemExit(f"{what}:\n  got  {got}\n  want {want}")


def number(value):
    """NaN as text, so that it equals itself; the rest in single precision."""
    if isinstance(value, str):
        value = float(value.replace("Infinity", "inf"))
    if value is None or math.isnan(value):
        return "NaN"
    return struct.unpack("f", struct.pack("f", value))[0] if math.isfinite(value) else str(value)


def wait_for(tensorboard, runs):
    deadline = time.time() + 60
    while True:
        found = set(tensorboard.get("runs"))
        if found >= runs:
            return
        if time.time() > deadline:
            raise SystemExit(f"TensorBoard does not find {runs - found}")
        time.sleep(0.5)


def settled(check):
    """Runs a check until it passes, for a loader may still be reading."""
    deadline = time.time() + 30
    while True:
        try:
            return check()
        except (SystemExit, urllib.error.HTTPError):
            if time.time() > deadline:
                raise
            time.sleep(0.5)


def series(expected):
    for run, tags in expected.items():
        for tag, points in tags.items():
            yield run, tag, points


def scalars(tb, expected):
    listed = tb.get("plugin/scalars/tags")
    same({run: set(tags) for run, tags in listed.items() if tags},
         {run: set(tags) for run, tags in expected.items() if tags}, "scalar tags")
    count = 0
    for run, tag, points in series(expected):
        got = tb.get("plugin/scalars/scalars", run=run, tag=tag)
        same([(wall, step, number(value)) for wall, step, value in got],
             [(wall, step, number(value)) for wall, step, value in points], f"scalar {run} {tag}")
        count += len(points)
    return count


def histograms(tb, expected):
    for run, tag, points in series(expected):
        same(tb.get("plugin/histograms/histograms", run=run, tag=tag), points, f"histogram {run} {tag}")
    return len(list(series(expected)))


def blobs(plugin, one):
    def check(tb, expected):
        count = 0
        for run, tag, points in series(expected):
            got = {}
            for sample in range(max(len(files) for _, files in points)):
                for entry in tb.get(f"plugin/{plugin}/{plugin}", run=run, tag=tag, sample=sample):
                    blob = tb.raw(f"plugin/{plugin}/{one}?" + entry["query"])
                    got.setdefault(entry["step"], []).append(blob.hex())
            same(sorted(got.items()), [(step, files) for step, files in points], f"{plugin} {run} {tag}")
            count += sum(len(files) for _, files in points)
        return count
    return check


def text(tb, expected):
    for run, tag, points in series(expected):
        got = tb.get("plugin/text/text", run=run, tag=tag)
        same([entry["step"] for entry in got], [step for step, _ in points], f"text {run} {tag}")
        for entry, (_, html) in zip(got, points):
            if html not in entry["text"]:
                raise SystemExit(f"text {run} {tag}: {html!r} is not in {entry['text']!r}")
    return len(list(series(expected)))


def pr_curves(tb, expected):
    for run, tag, points in series(expected):
        got = tb.get("plugin/pr_curves/pr_curves", run=run, tag=tag)[run]
        rounded = lambda values: [round(value, 5) for value in values]
        same([(entry["step"], rounded(entry["precision"]), rounded(entry["recall"])) for entry in got],
             [(step, rounded(precision), rounded(recall)) for step, precision, recall in points],
             f"pr curve {run} {tag}")
    return len(list(series(expected)))


def meshes(tb, expected):
    for run, tag, points in series(expected):
        listed = tb.get("plugin/mesh/meshes", run=run, tag=tag)
        same({entry["content_type"] for entry in listed}, {1, 2, 3}, f"mesh {run} {tag}")
        for step, vertices, faces, colors in points:
            parts = [("VERTEX", "f", vertices), ("FACE", "i", faces), ("COLOR", "B", colors)]
            for kind, form, want in parts:
                data = tb.raw("plugin/mesh/data", run=run, tag=tag, content_type=kind, sample=0, step=step)
                got = list(struct.unpack(f"<{len(want)}{form}", data))
                same(got, want, f"mesh {run} {tag} {kind}")
    return len(list(series(expected)))


def hparams(tb, expected):
    query = {"experimentName": "", "allowedStatuses":
             ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
             "colParams": [], "startIndex": 0, "sliceSize": 1000}
    groups = tb.post("plugin/hparams/session_groups", query)["sessionGroups"]
    got = {group["sessions"][0]["name"]: group for group in groups}
    same(set(got), set(expected), "sessions")
    for name, (values, status) in expected.items():
        if values is not None:
            same(got[name]["hparams"], values, f"hparams of {name}")
        same(got[name]["sessions"][0]["status"], status, f"status of {name}")
    experiment = tb.post("plugin/hparams/experiment", {"experimentName": ""})
    if not experiment["hparamInfos"] or not experiment["metricInfos"]:
        raise SystemExit("the dashboard finds no columns")
    return len(expected)


def layout(tb, expected):
    got = tb.get("plugin/custom_scalars/layout")
    charts = {chart["title"]: chart["multiline"]["tag"]
              for category in got["category"] for chart in category["chart"]}
    for title, tags in expected.items():
        same(charts.get(title), tags, f"chart {title}")
    return len(expected)


KINDS = {
    "scalars": scalars,
    "histograms": histograms,
    "images": blobs("images", "individualImage"),
    "audio": blobs("audio", "individualAudio"),
    "text": text,
    "pr_curves": pr_curves,
    "meshes": meshes,
    "hparams": hparams,
    "layout": layout,
}


def main():
    logdir, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        expected = json.load(file)
    for fast in (True, False):
        name = "rustboard" if fast else "python"
        with TensorBoard(logdir, fast) as tensorboard:
            wait_for(tensorboard, set(expected["scalars"]))
            for kind, check in KINDS.items():
                count = settled(lambda: check(tensorboard, expected[kind]))
                print(f"{name}: {kind}: {count} as logged", flush=True)


if __name__ == "__main__":
    main()
