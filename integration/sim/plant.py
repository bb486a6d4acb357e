#!/usr/bin/python3
"""Plants a fault in one source file, builds the simulation with it, and expects it caught.

    plant.py BUILD_DIR [NAME ...]

BUILD_DIR holds a built simulation (bin/integration/sim). The faulty file is compiled beside
it and linked before the archives, so that nothing else changes. Exit 1 when a fault was not
caught, or could not be planted because the code has changed: then mend this list.
"""
import glob, os, re, subprocess, sys

# name, file, text that must be there once, what it becomes, schedules to try, promise expected

FAULTS = [
    ("no-tombstone", "services/edge/grant.c",
     "\tremember(grants, &key, notice->number);\n", "", 4000, "P[12]"),
    ("no-lease-check", "services/edge/grant.c",
     "grant->state != GOOD || !lease_held(grants->deps.lease))\n\t\treturn false;",
     "grant->state != GOOD)\n\t\treturn false;", 2000, "P[12]"),
    ("acknowledged-before-the-sync", "services/publisher/publisher_turns.c",
     "store_sync(turn->turns->store, fn, turn);", "fn(turn);", 2000, "P[35]"),
    ("revoke-answered-before-edges-apply-it", "services/auth/spread.c",
     "if (spread->waiting == 0)", "if (true)", 2000, "P[12]"),
    ("a-key-that-lost-a-right-keeps-its-sockets", "services/edge/grant.c",
     "\t\tgone = evict(grant, rights);\n", "", 2000, "P[12]"),
    ("a-disabled-key-is-verified", "services/auth/key.c",
     "return key->disabled || (", "return (", 2000, "P[12]"),
    ("verdicts-survive-a-registration", "services/edge/edge.c",
     "\tgrants_forget(edge->grants);\n", "", 4000, "P[12]"),
    ("a-token-outlives-its-key", "services/edge/grant.c",
     "\t\tdie(grant, GRANT_REFUSED);\n\t\tif (last)",
     "\t\tif (grant->token)\n\t\t\tunkey(grant);\n\t\telse\n\t\t\tdie(grant, GRANT_REFUSED);\n"
     "\t\tif (last)", 4000, "P[128]"),
    ("a-token-is-taken-without-a-verdict-for-its-key", "services/edge/grant.c",
     "\tif (!keyed || !keyed->rights || !is_new_enough(grants, &parent, keyed->rights) ||\n"
     "\t    !token_is_within(grant->token, keyed->rights))",
     "\tif (keyed && keyed->rights && (!is_new_enough(grants, &parent, keyed->rights) ||\n"
     "\t    !token_is_within(grant->token, keyed->rights)))", 4000, "P[12]"),
    ("a-token-keeps-what-its-key-has-lost", "services/edge/grant.c",
     "if (grant->state != GOOD || token_is_within(grant->principal, rights))", "if (true)",
     4000, "P[128]"),
    ("the-end-of-a-right-closes-nothing", "services/edge/grant.c",
     "\tif (left <= 0)\n\t\tdie(grant, GRANT_REFUSED);\n",
     "\tif (left <= 0)\n\t\treturn;\n", 4000, "P8"),
    ("epochs-are-not-compared", "services/publisher/items.c",
     "run->epoch == entry->session->epoch)", "run->epoch <= entry->session->epoch)",
     4000, "P[39]"),
    ("a-lost-batch-is-not-sent-again", "services/edge/uplink.c",
     "\t\t\tgo_back(stream, stream->acked);\n", "\t\t\tcontinue;\n", 2000, "P[37]"),
    ("the-feed-skips-holes", "services/edge/feed.c",
     "\t\t       published->insights[end]->number == source->next) {\n"
     "\t\t\tsource->next++;\n",
     "\t\t       published->insights[end]->number >= source->next) {\n"
     "\t\t\tsource->next = published->insights[end]->number + 1;\n", 2000, "P6"),
]


def build(build_dir, name, path, old, new):
    source = open(path, encoding="utf-8").read()
    if source.count(old) != 1:
        sys.exit(f"{name}: {path} does not hold the text to change exactly once")
    directory = f"{build_dir}/plant"
    os.makedirs(directory, exist_ok=True)
    faulty = f"{directory}/{name}.c"
    with open(faulty, "w", encoding="utf-8") as file:
        file.write(source.replace(old, new))
    sim = f"{directory}/{name}"
    objects = glob.glob(f"{build_dir}/integration/sim/*.o")
    archives = glob.glob(f"{build_dir}/services/*.a") + [f"{build_dir}/common.a", f"{build_dir}/proto.a"]
    libs = ("-lwebsockets -lssl -lcrypto -lnng -lprotobuf-c -lrocksdb -lsodium -ljansson -lz "
            "-lkissfft-float -lseccomp -lm -lpthread").split()
    subprocess.run(["cc", "-std=gnu11", "-O2", "-w", "-fPIE", "-pie", "-D_GNU_SOURCE", "-I.",
                    f"-I{build_dir}/proto", "-Wl,--as-needed", "-o", sim, faulty, *objects,
                    "-Wl,--start-group", *archives, "-Wl,--end-group", *libs], check=True)
    return sim


def main():
    build_dir, names = sys.argv[1], sys.argv[2:]
    missed = 0
    for name, path, old, new, schedules, promise in FAULTS:
        if names and name not in names:
            continue
        sim = build(build_dir, name, path, old, new)
        out = subprocess.run([sim, "--schedules", str(schedules), "--seed", "1"],
                             capture_output=True, text=True).stdout
        broken = [line for line in out.splitlines() if re.match(rf"BROKEN seed=\d+ {promise}", line)]
        if broken:
            print(f"caught   {name}: {broken[0]}")
        else:
            missed += 1
            print(f"MISSED   {name} in {schedules} schedules\n{out}")
        sys.stdout.flush()
    sys.exit(1 if missed else 0)


main()
