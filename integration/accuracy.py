#!/usr/bin/python3
"""How far the estimators are off, on recordings with a reference.

  integration/accuracy.py [--analyze "CMD"] [--data DIR]... [--plots DIR] [--calibration NAME=a,b,c]
              [--align S]

Runs CMD (default: build/bin/raeh analyze) over every NAME.csv of the folders (default:
integration/recordings) that has a NAME_ref.csv, and prints Markdown tables: per set and
task the coverage, mean absolute error, RMSE, bias and 95th percentile; the error of the
most confident 100, 90, 75 and 50 %; the errors by sqi_class; the error against coverage
when answers are left out by confidence. --align S shifts each record's reference by what
suits it best, at most S seconds either way: what is left when its clock is right. --plots
draws, for the bundled recordings alone: Bland-Altman and error against coverage per task,
and a trace per recording.

An answer at t is compared with the reference at t + ref_lag_s (a display's delay, from
NAME.json), linear between rows at most 2.6 s (rr, spo2: 3 s) apart. Coverage: the share of
the product's steps (hr 2 s, rr and spo2 5 s) with a reference that got an answer.
"""
import argparse, bisect, collections, csv, json, os, shlex, subprocess, sys, tempfile

STEP_S = {"hr": 2.0, "rr": 5.0, "spo2": 5.0}
GAP_S = {"hr": 2.6, "rr": 3.0, "spo2": 3.0}
UNIT = {"hr": "bpm", "rr": "brpm", "spo2": "%"}
NEAR_S = 1.05  # a reference row that stands alone counts this far away
BUNDLED = "integration/recordings"

Row = collections.namedtuple("Row", "t error reference confidence sqi")


def read_reference(path):
    kinds = {}
    for row in csv.DictReader(open(path)):
        if row["type"] in STEP_S and row["value"] not in ("", "nan"):
            kinds.setdefault(row["type"], []).append((float(row["t"]), float(row["value"])))
    return {kind: sorted(rows) for kind, rows in kinds.items()}


def reference_at(rows, t, gap):
    i = bisect.bisect_left(rows, (t, float("-inf")))
    if 0 < i < len(rows) and rows[i][0] - rows[i - 1][0] <= gap:
        (t0, v0), (t1, v1) = rows[i - 1], rows[i]
        return v0 + (v1 - v0) * (t - t0) / (t1 - t0)
    near = [row for row in rows[max(0, i - 1):i + 1] if abs(row[0] - t) <= NEAR_S]
    return min(near, key=lambda row: abs(row[0] - t))[1] if near else None


def analyze(command, path, calibration):
    meta = json.load(open(path[:-4] + ".json"))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        words = shlex.split(command) + [path]
        if calibration:
            json.dump({**meta, "spo2_calibration": calibration}, file)
            file.flush()
            words += ["--meta", file.name]
        text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return list(csv.DictReader(text.splitlines()))


def lag_of(meta, kind):
    lag = meta.get("ref_lag_s") or 0.0
    return lag.get(kind, 0.0) if isinstance(lag, dict) else lag


def compare(answers, rows, kind, lag):
    """The answers that have a reference, and the share of steps that got one."""
    compared = []
    for answer in answers:
        want = reference_at(rows, float(answer["t"]) + lag, GAP_S[kind])
        if answer["type"] == kind and want is not None:
            compared.append(Row(float(answer["t"]), float(answer["value"]) - want, want,
                                float(answer["confidence"]), answer["sqi_class"]))
    step, t, end = STEP_S[kind], rows[0][0] - lag, rows[-1][0] - lag
    if len(rows) > 1 and (end - t) / (len(rows) - 1) > GAP_S[kind]:
        slots = [row[0] - lag for row in rows]  # test points
    else:
        slots = [s for s in (t + step * n for n in range(int((end - t) / step) + 1))
                 if reference_at(rows, s + lag, GAP_S[kind]) is not None]
    taken, covered = sorted(row.t for row in compared), 0
    for slot in slots:
        while taken and taken[0] <= slot - step - 0.25:
            taken.pop(0)
        if taken and taken[0] <= slot + NEAR_S:
            covered += 1
            taken.pop(0)
    return compared, covered / max(1, len(slots))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def of_most_confident(rows, share):
    best = sorted(rows, key=lambda row: -row.confidence)
    return mean(abs(row.error) for row in best[:max(1, int(len(best) * share))])


def rank_correlation(rows):
    def ranks(values):
        order = sorted(range(len(values)), key=values.__getitem__)
        rank = [0] * len(values)
        for place, i in enumerate(order):
            rank[i] = place
        return rank
    a, b = ranks([r.confidence for r in rows]), ranks([abs(r.error) for r in rows])
    middle = (len(rows) - 1) / 2
    spread = sum((x - middle) ** 2 for x in a)
    return sum((x - middle) * (y - middle) for x, y in zip(a, b)) / spread if spread else 0.0


def set_of(name):
    return name.split("_")[0]


def measure(arguments):
    """{(kind, set): {name: (rows, coverage)}}"""
    results = {}
    for folder in arguments.data or [BUNDLED]:
        for file in sorted(os.listdir(folder)):
            name = file[:-len("_ref.csv")]
            if not file.endswith("_ref.csv"):
                continue
            path = os.path.join(folder, name + ".csv")
            answers = analyze(arguments.analyze, path, arguments.calibrations.get(set_of(name)))
            meta = json.load(open(path[:-4] + ".json"))
            for kind, rows in read_reference(os.path.join(folder, file)).items():
                if any(answer["type"] == kind for answer in answers):
                    lag = lag_of(meta, kind)
                    results.setdefault((kind, set_of(name)), {})[name] = min(
                        (compare(answers, rows, kind, lag + shift) for shift in arguments.shifts),
                        key=lambda found: mean(abs(row.error) for row in found[0]))
    return results


def print_tables(results):
    print("| task | set | records | answers | coverage % | MAE | mean of records | RMSE | bias | p95 |"
          " MAE of the most confident 90 / 75 / 50 % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (kind, group), records in sorted(results.items()):
        rows = [row for compared, _ in records.values() for row in compared]
        sizes = sorted(abs(row.error) for row in rows)
        if not rows:
            continue
        print("| %s, %s | %s | %d | %d | %.1f | **%.2f** | %.2f | %.2f | %+.2f | %.2f | %.2f / %.2f / %.2f |" % (
            kind, UNIT[kind], group, len(records), len(rows),
            100 * mean(coverage for _, coverage in records.values()), mean(sizes),
            mean(mean(abs(r.error) for r in compared) for compared, _ in records.values() if compared),
            mean(r.error ** 2 for r in rows) ** 0.5, mean(r.error for r in rows),
            sizes[int(0.95 * (len(sizes) - 1))], *(of_most_confident(rows, s) for s in (0.9, 0.75, 0.5))))
    print("\n| task | class | share % | MAE | p95 | rank correlation of confidence and error |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in STEP_S:
        every = [row for (k, _), records in results.items() if k == kind
                 for compared, _ in records.values() for row in compared]
        for sqi in ("excellent", "acceptable", "unfit", "all"):
            sizes = sorted(abs(row.error) for row in every if sqi in (row.sqi, "all"))
            if sizes:
                print("| %s, %s | %s | %.1f | %.2f | %.2f | %s |" % (
                    kind, UNIT[kind], sqi, 100 * len(sizes) / len(every), mean(sizes),
                    sizes[int(0.95 * (len(sizes) - 1))],
                    "%.2f" % rank_correlation(every) if sqi == "all" else ""))


def print_curves(results):
    """What leaving out the least confident answers buys."""
    shares = [s / 100 for s in (100, 90, 80, 70, 60, 50, 40, 30)]
    print("\n| MAE of the most confident | " + " | ".join("%d %%" % (100 * s) for s in shares) + " |")
    print("| --- |" + " --- |" * len(shares))
    groups = collections.defaultdict(list)
    for (kind, group), records in sorted(results.items()):
        rows = [row for compared, _ in records.values() for row in compared]
        groups[kind, group] += rows
        groups[kind, "all"] += rows
    for (kind, group), rows in sorted(groups.items()):
        print("| %s, %s | " % (kind, group) +
              " | ".join("%.2f" % of_most_confident(rows, s) for s in shares) + " |")


def draw(results, folder):
    import matplotlib
    matplotlib.use("agg")
    matplotlib.rcParams.update({"font.size": 8, "savefig.dpi": 90})
    from matplotlib import pyplot
    os.makedirs(folder, exist_ok=True)

    def save(figure, name):
        figure.tight_layout()
        figure.savefig(os.path.join(folder, name + ".png"), metadata={"Software": None})
        pyplot.close(figure)

    for kind in sorted({kind for kind, _ in results}):
        groups = {group: [row for compared, _ in records.values() for row in compared]
                  for (k, group), records in results.items() if k == kind}
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3))
        for group, rows in sorted(groups.items()):
            left.plot([r.reference + r.error / 2 for r in rows], [r.error for r in rows], ".",
                      markersize=2, label=group)
            shares = [s / 20 for s in range(2, 21)]
            right.plot([100 * s for s in shares], [of_most_confident(rows, s) for s in shares],
                       label=group)
        everything = [row.error for rows in groups.values() for row in rows]
        bias = mean(everything)
        spread = 1.96 * mean((e - bias) ** 2 for e in everything) ** 0.5
        for level in (bias - spread, bias, bias + spread):
            left.axhline(level, color="grey", linewidth=0.5)
        left.set(xlabel="mean of both, " + UNIT[kind], ylabel="answer - reference", title=kind + ": Bland-Altman")
        right.set(xlabel="most confident, %", ylabel="mean absolute error, " + UNIT[kind],
                  title="error against coverage", ylim=(0, None))
        right.legend()
        save(figure, kind)
        for group, records in ((g, r) for (k, g), r in results.items() if k == kind):
            name, (rows, _) = sorted(records.items())[0]
            figure, axes = pyplot.subplots(figsize=(8, 2.2))
            axes.plot([r.t for r in rows], [r.reference for r in rows], color="grey", label="reference")
            axes.scatter([r.t for r in rows], [r.reference + r.error for r in rows], s=4,
                         c=[r.confidence for r in rows], cmap="viridis", vmin=0, vmax=1, label=kind)
            axes.set(xlabel="s", ylabel=UNIT[kind], title="%s, %s (colour: confidence)" % (name, kind))
            save(figure, "trace_%s_%s" % (kind, group))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--analyze", default="build/bin/raeh analyze")
    parser.add_argument("--data", action="append")
    parser.add_argument("--plots")
    parser.add_argument("--calibration", action="append", default=[], metavar="SET=a,b,c")
    parser.add_argument("--align", type=int, default=0, metavar="S")
    arguments = parser.parse_args()
    arguments.shifts = [s / 2 for s in range(-2 * arguments.align, 2 * arguments.align + 1)]
    arguments.calibrations = {word.split("=")[0]: [float(x) for x in word.split("=")[1].split(",")]
                              for word in arguments.calibration}
    results = measure(arguments)
    print_tables(results)
    print_curves(results)
    if arguments.plots:
        if arguments.data and arguments.data != [BUNDLED]:
            sys.exit("--plots: only of " + BUNDLED)
        draw(results, arguments.plots)


if __name__ == "__main__":
    main()
