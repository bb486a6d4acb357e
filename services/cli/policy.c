#include "services/cli/policy.h"

int64_t restart_delay_ms(struct restart_policy *policy, int64_t started_ms, int64_t now_ms)
{
	int64_t *oldest = &policy->death_ms[policy->deaths % RESTART_DEATHS];
	bool crowded = policy->deaths >= RESTART_DEATHS && now_ms - *oldest < RESTART_WINDOW_MS;
	int64_t delay_ms;

	*oldest = now_ms;
	policy->deaths++;
	if (policy->step > 0 && now_ms - started_ms < RESTART_WINDOW_MS)
		policy->step++;
	else
		policy->step = crowded;
	delay_ms = (int64_t)policy->step * RESTART_STEP_MS;
	return delay_ms < RESTART_MOST_MS ? delay_ms : RESTART_MOST_MS;
}

int64_t reconnect_delay_ms(unsigned attempt, int close_code, uint32_t random)
{
	int64_t delay_ms = RECONNECT_FIRST_MS;

	if (close_code == 1001 && attempt <= 1)
		return 0;
	while (attempt-- > 1 && delay_ms < RECONNECT_MOST_MS)
		delay_ms *= 2;
	if (delay_ms > RECONNECT_MOST_MS)
		delay_ms = RECONNECT_MOST_MS;
	return delay_ms - delay_ms / 4 + (int64_t)(random % (uint32_t)(delay_ms / 4 + 1));
}

bool reconnect_allowed(int close_code)
{
	return close_code == 1001 || close_code == 1006 || close_code == 1011 ||
	       close_code == 1012 || close_code == 1013 || close_code == 4029;
}
