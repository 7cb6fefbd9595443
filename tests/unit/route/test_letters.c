/* test_letters.c - what a letter holds while it travels, and that dropping it gives everything back (the leak
 * checker of a sanitizer build is the judge of what cannot be counted here). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "route/letters.h"

#define MIGRATION "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

/* Every letter, made afresh; the mailboxes may be refused a reference. */
static struct letter *new_letter(enum letter_kind kind, struct mailbox *box)
{
    struct route_table *table;
    struct catalogue *catalogue;
    struct letter *letter = NULL;

    switch (kind) {
    case LETTER_STOP:
        return stop_letter_new();
    case LETTER_PUBLISH:
        table = route_table_new(1);
        catalogue = catalogue_new(1, 0);
        letter = &publish_letter_new(box, table, catalogue, true)->letter;
        route_table_give(table);
        catalogue_give(catalogue);
        return letter;
    case LETTER_GATE:
        return &gate_letter_new(GATE_MAKE, "t", MIGRATION, 1, box, box)->letter;
    case LETTER_DOORBELL:
        return &doorbell_letter_new("t", 1)->letter;
    case LETTER_STALE:
        return &stale_letter_new(STALE_ROUTE, "t")->letter;
    default:
        return NULL;
    }
}

static const enum letter_kind kinds[] = { LETTER_STOP, LETTER_PUBLISH, LETTER_GATE, LETTER_DOORBELL,
                                          LETTER_STALE };

static void every_letter_says_what_it_is_and_can_be_dropped(void **state)
{
    struct mailbox *box = mailbox_new();

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct letter *letter = new_letter(kinds[i], box);

        assert_non_null(letter);
        assert_int_equal(letter->kind, kinds[i]);
        letter_drop(letter);
        letter_drop(new_letter(kinds[i], NULL)); /* nobody wants an answer */
        letter_send(box, new_letter(kinds[i], box));
    }
    mailbox_close(box); /* drops all five, with the references they hold to the box itself */
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        letter_send(box, new_letter(kinds[i], box)); /* refused: dropped by the sender */
    assert_null(mailbox_next(box));
    mailbox_give(box);
}

static void a_publication_takes_references_of_its_own(void **state)
{
    struct route_table *table = route_table_new(8);
    struct catalogue *catalogue = catalogue_new(9, 1);
    struct publish_letter *letter;

    (void)state;
    catalogue->schemas[0] = schema_new(0);
    letter = publish_letter_new(NULL, table, catalogue, true);
    assert_int_equal(catalogue->refs, 2);
    assert_true(letter->ready);
    route_table_give(table);
    catalogue_give(catalogue);
    assert_int_equal(route_table_generation(letter->table), 8); /* still there */
    assert_int_equal(letter->catalogue->generation, 9);
    assert_int_equal(letter->catalogue->refs, 1);
    letter_drop(&letter->letter);
}

/* A loop takes both references over and sends the letter back without them. */
static void a_publication_may_come_back_empty(void **state)
{
    struct mailbox *control = mailbox_new();
    struct route_table *table = route_table_new(8);
    struct catalogue *catalogue = catalogue_new(9, 0);
    struct publish_letter *letter = publish_letter_new(control, table, catalogue, false);

    (void)state;
    letter->table = NULL;
    letter->catalogue = NULL;
    letter_reply(&letter->letter);
    assert_ptr_equal(mailbox_next(control), &letter->letter);
    letter_drop(&letter->letter);
    route_table_give(table);
    route_table_give(table);
    assert_int_equal(catalogue->refs, 2);
    catalogue_give(catalogue);
    catalogue_give(catalogue);
    mailbox_give(control);
}

static void an_order_carries_what_it_was_given(void **state)
{
    struct mailbox *bell = mailbox_new();
    struct gate_letter *letter = gate_letter_new(GATE_CLOSE, "tenant", MIGRATION, 12, NULL, bell);

    (void)state;
    mailbox_give(bell); /* the letter's own reference keeps it */
    assert_int_equal(letter->op, GATE_CLOSE);
    assert_string_equal(letter->tenant, "tenant");
    assert_string_equal(letter->migration, MIGRATION);
    assert_int_equal(letter->owner_epoch, 12);
    assert_false(letter->ok);
    assert_false(letter->drained);
    assert_true(mailbox_post(letter->doorbell, stop_letter_new()));
    letter_drop(&letter->letter);
}

static void a_tenant_that_is_too_long_is_cut_and_ended(void **state)
{
    char tenant[TENANT_BYTES_MAX + 50];
    struct gate_letter *gate;
    struct doorbell_letter *bell;
    struct stale_letter *stale;

    (void)state;
    memset(tenant, 'x', sizeof tenant - 1);
    tenant[sizeof tenant - 1] = '\0';
    gate = gate_letter_new(GATE_ASK, tenant, tenant, 1, NULL, NULL);
    bell = doorbell_letter_new(tenant, 1);
    stale = stale_letter_new(STALE_CATALOGUE, tenant);
    assert_int_equal(strlen(gate->tenant), TENANT_BYTES_MAX - 1);
    assert_int_equal(strlen(gate->migration), UUID_TEXT_BYTES - 1);
    assert_int_equal(strlen(bell->tenant), TENANT_BYTES_MAX - 1);
    assert_int_equal(strlen(stale->tenant), TENANT_BYTES_MAX - 1);
    letter_drop(&gate->letter);
    letter_drop(&bell->letter);
    letter_drop(&stale->letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_letter_says_what_it_is_and_can_be_dropped),
        cmocka_unit_test(a_publication_takes_references_of_its_own),
        cmocka_unit_test(a_publication_may_come_back_empty),
        cmocka_unit_test(an_order_carries_what_it_was_given),
        cmocka_unit_test(a_tenant_that_is_too_long_is_cut_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
