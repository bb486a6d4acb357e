#include "services/publisher/analyze.h"

#include "common/recording.h"
#include "services/publisher/analysis.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MS 1000 /* a second a frame, as most firmware sends */

enum { EXIT_USAGE = 2 };

static const char usage[] =
        "usage: raeh analyze FILE.csv [--meta FILE.json] [--json] [--all] [--frame-ms N]\n"
        "\n"
        "Prints the insights of a recording as t,type,value,confidence,sqi_class; t is in\n"
        "seconds from its first sample. FILE.csv has a column a channel and a header; the\n"
        "meta file (default: FILE.json beside it) gives fs, columns, spo2_calibration.\n"
        "An empty field or nan is a sample that is missing.\n"
        "\n"
        "  --meta FILE   the meta file\n"
        "  --json        one JSON array instead of CSV\n"
        "  --all         hrv_rmssd, hrv_sdnn and motion too\n"
        "  --frame-ms N  cut the recording into frames of N ms (0: a sample a frame)\n";

struct options {
	const char *csv, *meta;
	bool json, all;
	unsigned frame_ms;
};

struct printer {
	const struct options *options;
	size_t printed;
};

static void print_insight(struct printer *printer, const struct analysis_insight *insight)
{
	const char *type = insight_type_name(insight->type);
	const char *sqi = insight_sqi_class(insight->confidence);
	double t_s = (double)insight->t_ms / 1000;

	if (insight->type > INSIGHT_RR && !printer->options->all)
		return;
	if (!printer->options->json)
		printf("%.3f,%s,%.3f,%.4f,%s\n", t_s, type, insight->value, insight->confidence,
		       sqi);
	else
		printf("%s\n {\"t\":%.3f,\"type\":\"%s\",\"value\":%.3f,\"unit\":\"%s\","
		       "\"confidence\":%.4f,\"sqi_class\":\"%s\"%s}",
		       printer->printed > 0 ? "," : "", t_s, type, insight->value,
		       insight_unit(insight->type), insight->confidence, sqi,
		       insight->uncalibrated ? ",\"uncalibrated\":true" : "");
	printer->printed++;
}

static void print_due(struct printer *printer, struct analysis *analysis)
{
	struct analysis_insight insight;

	while (analysis_next(analysis, &insight))
		print_insight(printer, &insight);
}

static struct analysis *open_session(const struct recording *recording)
{
	struct analysis_slot slots[RECORDING_MAX_SLOTS] = { 0 };
	struct analysis_config config = {
		.slots = slots,
		.n_slots = recording->n_slots,
		.has_spo2_calibration = recording->has_spo2_calibration,
	};

	memcpy(config.spo2_calibration, recording->spo2_calibration,
	       sizeof(config.spo2_calibration));
	for (size_t s = 0; s < recording->n_slots; s++) {
		memcpy(slots[s].modality, recording->slot[s].modality, sizeof(slots[s].modality));
		slots[s].sample_rate_hz = recording->slot[s].sample_rate_hz;
		slots[s].bit_depth = recording->slot[s].bit_depth;
		slots[s].num_channels = recording->slot[s].num_channels;
	}
	return analysis_new(&config);
}

static void analyze_segment(const struct recording *recording, size_t segment,
                            struct printer *printer)
{
	AUTO(analysis_free) struct analysis *analysis = open_session(recording);
	struct recording_frame frame;
	bool more = true;

	for (size_t k = 0; more; k++) {
		more = false;
		for (size_t s = 0; s < recording->n_slots; s++) {
			if (!recording_frame(recording, segment, s, k, printer->options->frame_ms,
			                     &frame))
				continue;
			more = true;
			analysis_push(analysis, (unsigned)s, frame.t0_ms, frame.payload,
			              frame.sample_count);
			print_due(printer, analysis);
		}
	}
	analysis_finish(analysis);
	print_due(printer, analysis);
}

/* 0, or the exit status that ends the program. -1: go on. */
static int read_options(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = {
		{"meta",       required_argument, NULL, 'm' },
		{ "json",        no_argument, NULL, 'j' },
		{ "all",           no_argument, NULL, 'a' },
		{ "frame-ms",required_argument, NULL, 'f' },
		{ "help",         no_argument, NULL, 'h' },
		{ 0      },
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		char *rest = NULL;

		switch (option) {
		case 'm':
			ret->meta = optarg;
			break;
		case 'j':
			ret->json = true;
			break;
		case 'a':
			ret->all = true;
			break;
		case 'f':
			ret->frame_ms = (unsigned)strtoul(optarg, &rest, 10);
			if (*optarg < '0' || *optarg > '9' || *rest != '\0' ||
			    ret->frame_ms > 6000) {
				fprintf(stderr, "--frame-ms: expected 0 to 6000, got \"%s\"\n",
				        optarg);
				return EXIT_USAGE;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind + 1 != argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	ret->csv = argv[optind];
	return -1;
}

int analyze_main(int argc, char **argv)
{
	struct options options = { .frame_ms = FRAME_MS };
	struct printer printer = { .options = &options };
	struct recording_fault fault;
	AUTO(recording_close) struct recording *recording = NULL;
	int status = read_options(argc, argv, &options);

	if (status >= 0)
		return status;
	if (recording_open(options.csv, options.meta, &fault, &recording) != OK) {
		fprintf(stderr, "%s\n", fault.text);
		return EXIT_FAILURE;
	}
	fputs(options.json ? "[" : "t,type,value,confidence,sqi_class\n", stdout);
	for (size_t segment = 0; segment < recording->n_segments; segment++)
		analyze_segment(recording, segment, &printer);
	if (options.json)
		fputs("\n]\n", stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
