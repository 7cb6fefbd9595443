/* mailbox.c - a locked list of letters and an eventfd.
 * Owns:   the letters that wait, the descriptor.
 * Leaves: what a letter means to its receiver.
 * Thread: any; mailbox_next() only the owner's.   Start at: mailbox_post(), mailbox_next(). */
#include "base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    pthread_mutex_t lock; /* guards first, last, closed, and the order of queue and descriptor */
    struct letter *first, *last;
    bool closed;
    int fd; /* counts above zero from the first letter until the owner has found the queue empty */
    atomic_uint references;
};

struct mailbox *mailbox_new(void)
{
    struct mailbox *box = calloc(1, sizeof *box);

    if (box == NULL)
        return NULL;
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0) {
        free(box);
        return NULL;
    }
    if (pthread_mutex_init(&box->lock, NULL) != 0) {
        close(box->fd);
        free(box);
        return NULL;
    }
    atomic_init(&box->references, 1);
    return box;
}

struct mailbox *mailbox_take(struct mailbox *box)
{
    atomic_fetch_add_explicit(&box->references, 1, memory_order_relaxed);
    return box;
}

void mailbox_give(struct mailbox *box)
{
    if (box == NULL)
        return;
    if (atomic_fetch_sub_explicit(&box->references, 1, memory_order_acq_rel) != 1)
        return;
    mailbox_close(box); /* letters that nobody took */
    pthread_mutex_destroy(&box->lock);
    close(box->fd);
    free(box);
}

int mailbox_fd(const struct mailbox *box)
{
    return box->fd;
}

/* Non-blocking: a full counter is readable already. */
static void wake(int fd)
{
    const uint64_t one = 1;
    ssize_t wrote;

    do
        wrote = write(fd, &one, sizeof one);
    while (wrote < 0 && errno == EINTR);
}

static void unwake(int fd)
{
    uint64_t count;
    ssize_t got;

    do
        got = read(fd, &count, sizeof count);
    while (got < 0 && errno == EINTR);
}

bool mailbox_post(struct mailbox *box, struct letter *letter)
{
    pthread_mutex_lock(&box->lock);
    if (box->closed) {
        pthread_mutex_unlock(&box->lock);
        return false;
    }
    letter->next = NULL;
    if (box->first == NULL) {
        box->first = letter;
        wake(box->fd);
    } else {
        box->last->next = letter;
    }
    box->last = letter;
    pthread_mutex_unlock(&box->lock);
    return true;
}

struct letter *mailbox_next(struct mailbox *box)
{
    struct letter *letter;

    pthread_mutex_lock(&box->lock);
    letter = box->first;
    if (letter == NULL) {
        unwake(box->fd); /* under the lock: a post between look and read would lose its wake-up */
    } else {
        box->first = letter->next;
        letter->next = NULL;
    }
    pthread_mutex_unlock(&box->lock);
    return letter;
}

void mailbox_close(struct mailbox *box)
{
    struct letter *letter;

    pthread_mutex_lock(&box->lock);
    box->closed = true;
    letter = box->first;
    box->first = box->last = NULL;
    unwake(box->fd);
    pthread_mutex_unlock(&box->lock);

    while (letter != NULL) { /* outside the lock: drop() may give back other mailboxes */
        struct letter *next = letter->next;

        letter_drop(letter);
        letter = next;
    }
}

void mailbox_open(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    box->closed = false;
    pthread_mutex_unlock(&box->lock);
}

void letter_send(struct mailbox *box, struct letter *letter)
{
    if (!mailbox_post(box, letter))
        letter_drop(letter);
}

void letter_reply(struct letter *letter)
{
    struct mailbox *box = letter->reply_to;

    letter->reply_to = NULL;
    if (box == NULL) {
        letter_drop(letter);
        return;
    }
    letter_send(box, letter);
    mailbox_give(box);
}

void letter_drop(struct letter *letter)
{
    struct mailbox *box;

    if (letter == NULL)
        return;
    box = letter->reply_to;
    letter->reply_to = NULL;
    letter->drop(letter);
    mailbox_give(box);
}
