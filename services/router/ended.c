#include "services/router/ended.h"

#include "common/mem.h"
#include "common/wire.h"

#include <string.h>

struct model {
	struct uuid account, id;
	uint64_t changed; /* counts changes; 0: this place is free */
	uint32_t slot[ENDED_SLOTS];
	Events__SlotsEnded message;
};

struct ended {
	struct model model[ENDED_MODELS];
	Events__SlotsEnded *all[ENDED_MODELS];
	uint64_t changes;
};

struct ended *ended_new(void)
{
	return xcalloc(1, sizeof(struct ended));
}

void ended_free(struct ended *ended)
{
	mem_free(ended);
}

/* Its place, or that of the one that has not changed for longest. */
static struct model *place_of(struct ended *ended, const struct uuid *account,
                              const struct uuid *id)
{
	struct model *oldest = &ended->model[0];

	for (size_t i = 0; i < ENDED_MODELS; i++) {
		struct model *model = &ended->model[i];

		if (model->changed > 0 && uuid_equal(&model->id, id) &&
		    uuid_equal(&model->account, account))
			return model;
		if (model->changed < oldest->changed)
			oldest = model;
	}
	*oldest = (struct model){ .account = *account, .id = *id };
	events__slots_ended__init(&oldest->message);
	oldest->message.account = wire_bytes_of(&oldest->account);
	oldest->message.model = wire_bytes_of(&oldest->id);
	oldest->message.slots = oldest->slot;
	return oldest;
}

static void add_slot(struct model *model, uint32_t slot)
{
	for (size_t i = 0; i < model->message.n_slots; i++)
		if (model->slot[i] == slot)
			return;
	if (model->message.n_slots < ENDED_SLOTS)
		model->slot[model->message.n_slots++] = slot;
}

void ended_add(struct ended *ended, const struct uuid *account, const struct uuid *id,
               const uint32_t *slots, size_t n)
{
	struct model *model;

	if (n == 0)
		return;
	model = place_of(ended, account, id);
	model->changed = ++ended->changes;
	for (size_t i = 0; i < n; i++)
		add_slot(model, slots[i]);
}

static bool has_slot(const Events__ModelRow *row, uint32_t slot)
{
	for (size_t i = 0; i < row->n_slot_of_channel; i++)
		if (row->slot_of_channel[i] == slot)
			return true;
	return false;
}

void ended_add_missing(struct ended *ended, const struct uuid *account, const Events__ModelRow *row)
{
	uint32_t slot[ENDED_SLOTS];
	struct uuid id;
	size_t n = 0;

	MUST(uuid_parse(row->model->id, &id)); /* we wrote it */
	for (uint32_t i = 0; i < row->next_slot && i < ENDED_SLOTS; i++)
		if (!has_slot(row, i))
			slot[n++] = i;
	ended_add(ended, account, &id, slot, n);
}

size_t ended_all(struct ended *ended, Events__SlotsEnded ***ret)
{
	size_t n = 0;

	for (size_t i = 0; i < ENDED_MODELS; i++)
		if (ended->model[i].changed > 0)
			ended->all[n++] = &ended->model[i].message;
	*ret = ended->all;
	return n;
}
