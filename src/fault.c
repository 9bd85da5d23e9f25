/*
 * fault: the handler.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "fault.h"

#include <setjmp.h>
#include <stdatomic.h>

#include "collector.h"
#include "fault_text.h"
#include "os_signal.h"
#include "places.h"

/* A guard whose frame is gone, because a jump left it out, has been overwritten, perhaps. */
#define CHECK ((uintptr_t)0x6775617264)

/* Of 10 ms, for another thread's last words: addr2line(1) may take its time, three times. */
#define MOST_WAITS 2000

static OS_SIGNAL_TLS struct {
    gcmmap_guard *innermost; /* NULL: none */
    unsigned n_holds;
} thread;

static const struct fault_hooks *hooks;

/* Whether we have come, and whether before bdwgc or in front of its handler. */
enum { NOT_THERE, THERE, THERE_BEFORE_COLLECTOR };
static atomic_int state;

void fault_start(const struct fault_hooks *h)
{
    hooks = h;
}

/* ---- the handler ------------------------------------------------------------------- */

static bool is_entered(const gcmmap_guard *guard)
{
    return guard->check == ((uintptr_t)guard ^ CHECK);
}

static gcmmap_guard *innermost_guard(void)
{
    if (thread.n_holds > 0 || thread.innermost == NULL)
        return NULL;
    if (!is_entered(thread.innermost))
        thread.innermost = NULL;
    return thread.innermost;
}

static void describe(const struct os_fault *fault, const void *user, gcmmap_fault *description)
{
    description->signal = fault->signal;
    description->is_write = fault->is_write;
    description->address = (void *)fault->address;
    hooks->describe(user, description);
}

/* Undisturbed: a signal's handler that leaves by a jump would leave us looking for ever. */
static void *begin_looking(const struct os_fault *fault, struct os_undisturbed *before)
{
    os_begin_undisturbed(before);
    return places_enter(fault->address);
}

static void end_looking(const struct os_undisturbed *before)
{
    places_leave();
    os_end_undisturbed(before);
}

static enum fault_verdict judge(const struct os_fault *fault, struct fault_question *question)
{
    enum fault_verdict verdict = FAULT_IS_OTHERS;
    struct os_undisturbed before;
    void *user = begin_looking(fault, &before);

    if (user != NULL) {
        describe(fault, user, &question->fault);
        verdict = hooks->judge(user, fault, question);
    }
    end_looking(&before);
    return verdict;
}

static bool fill(const struct os_fault *fault)
{
    struct os_undisturbed before;
    void *user = begin_looking(fault, &before);
    bool filled = user != NULL && hooks->fill(user, fault);

    end_looking(&before);
    return filled;
}

/* Whether a region whose file has become too short knows what to do. */
static bool is_repaired(const struct os_fault *fault)
{
    struct fault_question question;
    enum fault_verdict verdict = judge(fault, &question);
    int answer;

    if (verdict != FAULT_IS_A_QUESTION)
        return verdict == FAULT_IS_OVER;
    answer = question.ask(&question.fault, question.data);
    if (answer == GCMMAP_TRUNCATED_RETRY)
        return true;
    return (answer == GCMMAP_TRUNCATED_ZEROS || question.may_fill) && fill(fault);
}

/* Whose pages it is that cannot be accessed, if that is for us to say. */
static bool look(const struct os_fault *fault, gcmmap_fault *description)
{
    struct os_undisturbed before;
    const void *user = begin_looking(fault, &before);
    bool is_ours =
        user != NULL && (fault->was_passed_on || !hooks->is_collectors(user, fault->signal));

    if (is_ours)
        describe(fault, user, description);
    end_looking(&before);
    return is_ours;
}

static void take_back(gcmmap_guard *guard, const struct os_fault *fault)
{
    fault_leave(guard);
    os_leave_handler(fault);
    longjmp(guard->jump, 1);
}

/* ---- last words ------------------------------------------------------------------------ */

static atomic_uint reports; /* GCMMAP_REPORT_ ... */

static void add_line(struct message *message, const char *what, const void *code, bool is_return)
{
    if (code == NULL)
        return;
    message_add(message, what);
    fault_add_code(message, code, is_return, (atomic_load(&reports) & GCMMAP_REPORT_LINES) != 0);
    message_add(message, "\n");
}

/* Not on the stack, of which a handler may have little.  One thread has them. */
static void speak(const struct os_fault *fault)
{
    static gcmmap_fault description;
    static char text[4096];
    struct message message = { text, sizeof text, 0 };

    if (!look(fault, &description))
        return;
    hooks->look_at_file(&description);
    message_add(&message, "gcmmap: ");
    message_add(&message, os_signal_name(fault->signal));
    message_add(&message, " at ");
    message_add_address(&message, fault->address);
    message_add(&message, ": ");
    fault_add_text(&message, &description);
    message_add(&message, "\n");
    add_line(&message, "  accessed by ", fault->code, false);
    add_line(&message, "  mapped by ", description.mapped_by, true);
    add_line(&message, "  closed by ", description.closed_by, true);
    os_write_error(text, message.n < sizeof text ? message.n : sizeof text - 1);
}

/* False: another is still at it. */
static bool speak_in_turn(const struct os_fault *fault)
{
    static atomic_bool is_speaking;

    if (atomic_exchange(&is_speaking, true))
        return false;
    speak(fault);
    atomic_store(&is_speaking, false);
    return true;
}

/* A thread that was taken away while it speaks would silence all that come after it. */
static void report(const struct os_fault *fault)
{
    struct os_undisturbed before;

    os_begin_undisturbed(&before);
    for (int i = 0; i < MOST_WAITS && !speak_in_turn(fault); i++)
        os_wait_a_little(); /* it takes us along when it dies */
    os_end_undisturbed(&before);
}

/* bdwgc's handler ends the process, by SIGABRT, or makes what must not be read readable. */
static bool is_last_chance(const struct os_fault *fault)
{
    return fault->is_deadly || collector_protects_traced_blocks();
}

static bool handle(const struct os_fault *fault)
{
    gcmmap_guard *guard;

    if (fault->is_access && fault->signal == SIGBUS && is_repaired(fault))
        return true;
    guard = fault->is_access ? innermost_guard() : NULL;
    if (guard != NULL && look(fault, &guard->fault))
        take_back(guard, fault);
    if (fault->is_access && atomic_load(&reports) != 0 && is_last_chance(fault))
        report(fault);
    return false;
}

void fault_report(unsigned what)
{
    atomic_store(&reports, what);
    if (what != 0)
        fault_catch();
}

/* The collector comes when the host switches to incremental mode, and in front of us. */
void fault_catch(void)
{
    int wanted = collector_is_incremental() ? THERE_BEFORE_COLLECTOR : THERE;

    if (atomic_load_explicit(&state, memory_order_relaxed) == wanted)
        return;
    os_catch_faults(handle);
    atomic_store(&state, wanted);
}

/* ---- guards --------------------------------------------------------------------------- */

void fault_enter(gcmmap_guard *guard)
{
    guard->outer = thread.innermost;
    guard->check = (uintptr_t)guard ^ CHECK;
    atomic_signal_fence(memory_order_release);
    thread.innermost = guard;
}

void fault_leave(gcmmap_guard *guard)
{
    gcmmap_guard *at = thread.innermost;

    while (at != NULL && at != guard && is_entered(at))
        at = at->outer;
    /* Frames of guards inside it may be gone, left by a jump, and what leads from them to it. */
    if (at != NULL && is_entered(guard))
        thread.innermost = guard->outer;
}

gcmmap_guard *fault_set_aside(void)
{
    gcmmap_guard *guards = thread.innermost;

    thread.innermost = NULL;
    return guards;
}

void fault_take_up(gcmmap_guard *guards)
{
    thread.innermost = guards;
}

void fault_hold(void)
{
    thread.n_holds++;
}

void fault_release(void)
{
    thread.n_holds--;
}
