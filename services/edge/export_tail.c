/* The part of export for who looks on: a page of what came last, and where to go on. */
#include "services/edge/export.h"

#include "services/edge/page_link.h"
#include "services/edge/rest_internal.h"

#include <stdio.h>

char *export_tail_link(const struct rest *rest, const struct export *export)
{
	const Publisher__FrameRuns *command =
	        ((const Publisher__PublisherRequest *)rest->request)->frame_runs;
	char after[24];

	if (!command->has_after && !command->has_newest)
		return xstrdup("");
	(void)snprintf(after, sizeof after, "%llu", (unsigned long long)export->about->next - 1);
	return page_link(rest->path, rest->query, command->base.descriptor, "after", after);
}
