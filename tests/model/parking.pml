/* Parking and waking (core/src/idle.hpp, worker.hpp), for Spin: loops take work from a common heap, search, go to sleep
 * and are woken; a maker that is no loop makes work. Steps between two accesses of shared words are separate; memory is
 * sequentially consistent, which the fences are for: what happens without them is the explorer's to show.
 *
 * Proved: a wake-up is never lost (where nothing can go on, no work is left), the counts do not drift, and as long as
 * there is work some loop will come to it.
 *
 *   -DMESSAGE        the same with a message to one of the loops, and less work
 *
 *   -DNO_RECHECK     a loop parks without having looked once more
 *   -DNO_PASS_ON     the last searcher does not pass the wake on
 *   -DNO_DUTY        a loop that saw work when it looked once more, and is woken by a message then, forgets the work (with -DMESSAGE)
 * are the faults that tests/model/spin.py puts in, and that must be found.
 */
#define LOOPS 2
#ifdef MESSAGE
#define ITEMS 2
#else
#define ITEMS 3
#endif

mtype = { awake, parked, claimed, notified };

byte work = 0;          /* visible, not taken */
byte made = 0;
byte taken = 0;
byte busy = 0;          /* loops that run an item */
short sleeping = 0;     /* the idle word; one off for a moment where a loop is claimed and has still to be counted */
short searching = 0;
mtype sleep_word[LOOPS] = awake;
bool bell[LOOPS] = false;

inline wake_one(other, has_woken) {
    has_woken = false;
    do
    :: !has_woken ->
        searching++;
        other = 0;
        do
        :: other < LOOPS && !has_woken ->
            if
            :: atomic { sleep_word[other] == parked -> sleep_word[other] = claimed; has_woken = true };
                sleeping--;
                bell[other] = true
            :: else -> other++
            fi
        :: else -> break
        od;
        if
        :: has_woken
        :: else ->
            atomic { searching--; was_last = (searching == 0) };
            if
            :: !was_last || sleeping == 0 || work == 0 -> break
            :: else
            fi
        fi
    :: else -> break
    od
}

proctype Maker() {
    byte other;
    bool has_woken, was_last;
    do
    :: made < ITEMS ->
        atomic { work++; made++ };
        if
        :: atomic { sleeping != 0 && searching == 0 -> skip }; wake_one(other, has_woken)
        :: else
        fi
    :: else -> break
    od
}

/* One message to loop 0, which computes as long as there is work and nobody else is at any. */
proctype Messenger() {
    if
    :: atomic { sleep_word[0] == parked -> sleep_word[0] = notified };
        sleeping--;
        bell[0] = true
    :: true
    fi
}

proctype Loop(byte id) {
    byte other;
    bool is_searching = false;
    bool has_found, sees_work, has_woken, was_last;
    bool has_message = false;
    mtype found;
next:
    do
    ::  if
        :: has_message && !is_searching ->
            has_message = false;
            (work == 0 || busy > 0)
        :: else
        fi;
        /* a look everywhere */
        has_found = false;
        if
        :: atomic { work > 0 -> work--; taken++; busy++; has_found = true }
        :: else
        fi;
        if
        :: has_found ->
            if
            :: is_searching ->
                is_searching = false;
                atomic { searching--; was_last = (searching == 0) };
#ifndef NO_PASS_ON
                if
                :: was_last && work > 0 -> wake_one(other, has_woken)
                :: else
                fi
#endif
            :: else
            fi;
            if
            :: true /* short */
            :: taken == 1 -> (made == ITEMS && work == 0) /* the first one computes until all others are taken */
            fi;
            busy--
        :: else ->
            if
            :: has_message -> /* found nothing elsewhere, and goes on with the message */
                is_searching = false;
                atomic { searching--; was_last = (searching == 0) };
                if
                :: was_last && work > 0 -> wake_one(other, has_woken)
                :: else
                fi;
                goto next
            :: else
            fi;
            sleep_word[id] = parked;
            atomic { sleeping++; if :: is_searching -> searching-- :: else fi; is_searching = false };
#ifdef NO_RECHECK
            sees_work = false;
#else
            sees_work = (work > 0);
#endif
            if
            :: sees_work
            :: else ->
end_parked:     atomic { bell[id] -> bell[id] = false }
            fi;
            atomic { found = sleep_word[id]; sleep_word[id] = awake };
            if
            :: found == parked -> atomic { sleeping--; if :: sees_work -> searching++ :: else fi }
#ifndef NO_DUTY
            :: found == notified && sees_work -> searching++
#endif
            :: else
            fi;
#ifdef NO_DUTY
            is_searching = (found == claimed || (found == parked && sees_work));
#else
            is_searching = (found == claimed || sees_work);
#endif
            has_message = (found == notified)
        fi
    od
}

init {
    atomic {
        run Maker();
#ifdef MESSAGE
        run Messenger();
#endif
        run Loop(0);
        run Loop(1)
    };
    /* Where nothing can go on. */
    timeout;
    assert(work == 0 && made == ITEMS && taken == ITEMS && busy == 0);
    assert(sleeping == LOOPS && searching == 0)
}

ltl nothing_stays { [] (work > 0 -> <> (work == 0)) }
