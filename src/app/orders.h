/* orders.h - what main is told while everything runs: signals, and the console's letters. Main's thread. */
#ifndef PGSHUNT_APP_ORDERS_H
#define PGSHUNT_APP_ORDERS_H

struct app;

void orders_block_signals(void);     /* before any thread exists, so that all inherit it */
void orders_unblock_signals(void);   /* somebody who asks twice does not want to wait for us to end well */
void orders_follow(struct app *app); /* until it is time to stop */

#endif
