#include "services/cli/simulated.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char why[256];

static struct recording watch(void)
{
	struct recording recording = { .n_slots = 2 };

	recording.slot[0] = (struct recording_slot){ "ppg_green", 125, 16, 1 };
	recording.slot[1] = (struct recording_slot){ "acc_3axis", 62.5, 16, 3 };
	return recording;
}

Test(simulated, names_a_model_by_its_channels)
{
	struct recording recording = watch();
	char name[SIMULATED_NAME];

	simulated_name(&recording, name);
	cr_assert_str_eq(name, "simulated (ppg_green 125 Hz/16; acc_3axis 62.5 Hz/16x3)");
	recording.has_spo2_calibration = true;
	recording.spo2_calibration[0] = 110;
	recording.spo2_calibration[1] = -25.5;
	simulated_name(&recording, name);
	cr_assert_str_eq(name, "simulated (ppg_green 125 Hz/16; acc_3axis 62.5 Hz/16x3; spo2 "
	                       "110,-25.5,0)");
}

Test(simulated, names_a_model_of_many_channels_within_the_bound_and_by_all_of_them)
{
	struct recording recording = { .n_slots = RECORDING_MAX_SLOTS };
	char name[SIMULATED_NAME], other[SIMULATED_NAME];

	for (size_t i = 0; i < recording.n_slots; i++)
		recording.slot[i] =
		        (struct recording_slot){ "ppg_infrared_left_wrist", 1000, 32, 16 };
	simulated_name(&recording, name);
	cr_assert_lt(strlen(name), SIMULATED_NAME);
	cr_assert_eq(strncmp(name, "simulated (64 slots, ", 21), 0, "%s", name);
	recording.slot[63].bit_depth = 24;
	simulated_name(&recording, other);
	cr_assert_str_neq(name, other);
}

Test(simulated, accepts_only_a_session_with_its_own_slots)
{
	struct recording recording = watch();
	Raeh__Slot slot[2] = { RAEH__SLOT__INIT, RAEH__SLOT__INIT }, *slots[2] = { slot, slot + 1 };
	Cli__Handshake handshake = CLI__HANDSHAKE__INIT;
	char modality[2][16] = { "ppg_green", "acc_3axis" };

	handshake.slots = slots;
	for (size_t i = 0; i < 2; i++) {
		slot[i].modality = modality[i];
		slot[i].bit_depth = 16;
	}
	slot[0].num_channels = 1;
	slot[1].num_channels = 3;
	handshake.n_slots = 1;
	cr_assert_not(simulated_fits(&recording, &handshake, why));
	handshake.n_slots = 2;
	cr_assert(simulated_fits(&recording, &handshake, why), "%s", why);
	slot[1].bit_depth = 24;
	cr_assert_not(simulated_fits(&recording, &handshake, why));
	cr_assert_str_eq(why,
	                 "slot 1 of the device model is acc_3axis 24 bit x 3, of the recording "
	                 "acc_3axis 16 bit x 3");
	slot[1].bit_depth = 16;
	slot[1].slot_id = 256;
	cr_assert_not(simulated_fits(&recording, &handshake, why));
}
