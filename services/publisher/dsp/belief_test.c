#include "services/publisher/dsp/belief.h"

#include <criterion/criterion.h>
#include <math.h>

#define N 100

static void peak_at(float *likelihood, size_t place)
{
	for (size_t h = 0; h < N; h++)
		likelihood[h] = h == place ? 1 : 0.05f;
}

static float sum(const float *p)
{
	float total = 0;

	for (size_t h = 0; h < N; h++)
		total += p[h];
	return total;
}

Test(belief, grows_with_evidence_that_repeats)
{
	float p[N], likelihood[N], before = 0;

	belief_reset(p, N);
	peak_at(likelihood, 40);
	for (int i = 0; i < 4; i++) {
		belief_update(p, N, 1, 0.01f, likelihood);
		cr_assert_gt(p[40], before);
		cr_assert_float_eq(sum(p), 1, 1e-4);
		before = p[40];
	}
	cr_assert_float_eq(belief_mode(p, N, 4), 40, 0.1);
	cr_assert_gt(belief_mass(p, N, 40, 5), 0.8);
}

Test(belief, does_not_follow_a_single_window_far_away)
{
	float p[N], likelihood[N];

	belief_reset(p, N);
	peak_at(likelihood, 40);
	for (int i = 0; i < 5; i++)
		belief_update(p, N, 1, 0.01f, likelihood);
	peak_at(likelihood, 80);
	belief_update(p, N, 1, 0.01f, likelihood);

	cr_assert_float_eq(belief_mode(p, N, 4), 40, 1);
}

Test(belief, follows_what_stays_far_away)
{
	float p[N], likelihood[N];

	belief_reset(p, N);
	peak_at(likelihood, 40);
	for (int i = 0; i < 20; i++)
		belief_update(p, N, 1, 0.01f, likelihood);
	peak_at(likelihood, 80);
	for (int i = 0; i < 5; i++)
		belief_update(p, N, 1, 0.01f, likelihood);

	cr_assert_float_eq(belief_mode(p, N, 4), 80, 1);
}

Test(belief, moves_like_a_laplace_kernel)
{
	float p[N] = { 0 }, likelihood[N];

	p[50] = 1;
	for (size_t h = 0; h < N; h++)
		likelihood[h] = 1;
	belief_update(p, N, 3, 0, likelihood);

	for (size_t d = 1; d < 20; d++)
		cr_assert_float_eq(p[50 + d] / p[50], expf(-(float)d / 3), 1e-3);
}

Test(belief, starts_anew_when_nothing_is_possible)
{
	float p[N], likelihood[N] = { 0 };

	belief_reset(p, N);
	belief_update(p, N, 1, 0.01f, likelihood);
	cr_assert_float_eq(sum(p), 1, 1e-4);
}

Test(belief, has_half_of_it_on_each_side_of_the_median)
{
	float p[N] = { 0 };

	p[20] = 0.3f;
	p[40] = p[41] = 0.2f;
	p[90] = 0.3f;
	cr_assert_float_eq(belief_median(p, N), 40.5f, 1e-3);
}
