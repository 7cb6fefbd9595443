/* test_mailbox.c - letters: order, wake-ups, replies, closing, and threads that race. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mailbox.h"

static atomic_int dropped;

struct note {
    struct letter letter;
    int sender, number;
};

static void drop_note(struct letter *me)
{
    atomic_fetch_add(&dropped, 1);
    free(me);
}

static struct note *note_new(int sender, int number, struct mailbox *reply_to)
{
    struct note *note = calloc(1, sizeof *note);

    note->letter.drop = drop_note;
    note->letter.reply_to = reply_to == NULL ? NULL : mailbox_take(reply_to);
    note->sender = sender;
    note->number = number;
    return note;
}

static int is_readable(struct mailbox *box)
{
    struct pollfd waits = { .fd = mailbox_fd(box), .events = POLLIN };

    return poll(&waits, 1, 0);
}

static void delivers_in_order_and_is_readable_meanwhile(void **state)
{
    struct mailbox *box = mailbox_new();

    (void)state;
    assert_int_equal(is_readable(box), 0);
    for (int i = 0; i < 3; i++)
        assert_true(mailbox_post(box, &note_new(0, i, NULL)->letter));
    for (int i = 0; i < 3; i++) {
        struct note *note = (struct note *)mailbox_next(box);

        assert_int_equal(is_readable(box), 1);
        assert_int_equal(note->number, i);
        letter_drop(&note->letter);
    }
    assert_null(mailbox_next(box));
    assert_int_equal(is_readable(box), 0);
    mailbox_post(box, &note_new(0, 9, NULL)->letter);
    assert_int_equal(is_readable(box), 1);
    letter_drop(mailbox_next(box));
    mailbox_give(box);
}

static void a_reply_is_the_same_letter_without_a_reply_address(void **state)
{
    struct mailbox *asker = mailbox_new(), *answerer = mailbox_new();
    struct note *question = note_new(0, 42, asker);
    struct letter *answer;

    (void)state;
    letter_send(answerer, &question->letter);
    letter_reply(mailbox_next(answerer));
    answer = mailbox_next(asker);
    assert_ptr_equal(answer, question);
    assert_null(answer->reply_to);
    letter_drop(answer);
    mailbox_give(asker);
    mailbox_give(answerer);
}

static void a_reply_to_nobody_is_dropped(void **state)
{
    struct mailbox *asker = mailbox_new();
    struct note *note = note_new(0, 1, asker);

    (void)state;
    atomic_store(&dropped, 0);
    letter_reply(&note_new(0, 0, NULL)->letter);
    assert_int_equal(atomic_load(&dropped), 1);
    mailbox_close(asker);
    mailbox_give(asker); /* the letter's own reference keeps the box */
    letter_reply(&note->letter);
    assert_int_equal(atomic_load(&dropped), 2);
    letter_drop(NULL);
    mailbox_give(NULL);
}

static void a_closed_mailbox_refuses_and_drops_what_waits(void **state)
{
    struct mailbox *box = mailbox_new();
    struct note *late = note_new(0, 2, box);

    (void)state;
    atomic_store(&dropped, 0);
    letter_send(box, &note_new(0, 1, box)->letter);
    mailbox_close(box);
    assert_int_equal(atomic_load(&dropped), 1);
    assert_false(mailbox_post(box, &late->letter));
    assert_int_equal(atomic_load(&dropped), 1); /* a refused letter stays the sender's */
    letter_send(box, &late->letter);
    assert_int_equal(atomic_load(&dropped), 2);
    assert_null(mailbox_next(box));
    mailbox_close(box);
    mailbox_give(box);
}

static void the_last_reference_drops_what_nobody_took(void **state)
{
    struct mailbox *box = mailbox_new();

    (void)state;
    atomic_store(&dropped, 0);
    letter_send(box, &note_new(0, 1, NULL)->letter);
    mailbox_take(box);
    mailbox_give(box);
    assert_int_equal(atomic_load(&dropped), 0);
    mailbox_give(box);
    assert_int_equal(atomic_load(&dropped), 1);
}

enum { SENDERS = 4, LETTERS = 5000 };

struct sender {
    struct mailbox *box;
    int number;
};

static void *send_many(void *who)
{
    struct sender *sender = who;

    for (int i = 0; i < LETTERS; i++)
        letter_send(sender->box, &note_new(sender->number, i, NULL)->letter);
    mailbox_give(sender->box);
    return NULL;
}

static void loses_no_letter_and_no_wake_up_under_threads(void **state)
{
    struct mailbox *box = mailbox_new();
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    int expected[SENDERS] = { 0 }, got = 0;

    (void)state;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ mailbox_take(box), i };
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    while (got < SENDERS * LETTERS) {
        struct pollfd waits = { .fd = mailbox_fd(box), .events = POLLIN };
        struct letter *letter;

        assert_int_equal(poll(&waits, 1, 10000), 1); /* a lost wake-up would sleep here */
        while ((letter = mailbox_next(box)) != NULL) {
            struct note *note = (struct note *)letter;

            assert_int_equal(note->number, expected[note->sender]++);
            letter_drop(letter);
            got++;
        }
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_null(mailbox_next(box));
    mailbox_give(box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_in_order_and_is_readable_meanwhile),
        cmocka_unit_test(a_reply_is_the_same_letter_without_a_reply_address),
        cmocka_unit_test(a_reply_to_nobody_is_dropped),
        cmocka_unit_test(a_closed_mailbox_refuses_and_drops_what_waits),
        cmocka_unit_test(the_last_reference_drops_what_nobody_took),
        cmocka_unit_test(loses_no_letter_and_no_wake_up_under_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
