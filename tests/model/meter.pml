/* Usage records 1..RECORDS of one journal. A record is made durable on the site, sent any number of times in any order, stored and
 * posted in one transaction, acknowledged up to the highest contiguous one, and dropped by the site only up to there.
 *
 * Proved: every record is posted exactly once. Switches: NO_KEY usage_keeps_key; SPLIT one transaction made two; JUMP
 * usage_ack_is_contiguous; EARLY_ACK usage_ack_after_commit. */
#define RECORDS 3
#ifndef NO_KEY
#define NO_KEY 0
#endif
#ifndef SPLIT
#define SPLIT 0
#endif
#ifndef JUMP
#define JUMP 0
#endif
#ifndef EARLY_ACK
#define EARLY_ACK 0
#endif

bool journal[RECORDS + 2], sent[RECORDS + 2], stored[RECORDS + 2];
byte posted[RECORDS + 2], made = 0, watermark = 0, acked = 0, pruned = 0, half = 0;
bool crashed = false;

active proctype site()
{
    byte i;
end:
    do
    :: atomic { made < RECORDS -> made++; journal[made] = true }
    :: i = 1 :: i = 2 :: i = 3
    :: atomic { i > 0 && journal[i] -> sent[i] = true }
    :: atomic { pruned < made && pruned < acked -> pruned++; journal[pruned] = false }
    od
}

inline store_record(i)
{
    stored[i] = true;
    if
    :: SPLIT -> half = i
    :: !SPLIT -> posted[i]++; assert(posted[i] <= 1)
    fi
}

active proctype server()
{
    byte i;
end:
    do
    :: i = 1 :: i = 2 :: i = 3
    :: atomic { i > 0 && sent[i] && half == 0 && (!stored[i] || (NO_KEY && posted[i] < 2)) -> store_record(i) }
    :: atomic { half != 0 -> posted[half]++; assert(posted[half] <= 1); half = 0 }
    :: atomic { half != 0 && !crashed -> crashed = true; half = 0 }          /* a crash between insert and post */
    :: atomic { i > 0 && stored[i] && (watermark == i - 1 || (JUMP && watermark < i)) -> watermark = i; acked = i }
    :: atomic { EARLY_ACK && i > 0 && sent[i] && acked == i - 1 -> acked = i; sent[i] = false } /* lost in a crash after */
    :: atomic { made == RECORDS && pruned == RECORDS && half == 0 ->
        assert(posted[1] == 1 && posted[2] == 1 && posted[3] == 1); break }
    od
}
