/* The database is restored from a copy made before an attempt was dispatched. Two sites; the job may then be offered anew at either.
 *
 * Proved: at most one copy runs. Switches: NO_EPOCH restore_raises_epoch + epoch_fences_commands (a START of before the
 * restore, still under way, is taken); NO_WAIT restore_waits_for_sites. */
#ifndef NO_EPOCH
#define NO_EPOCH 0
#endif
#ifndef NO_WAIT
#define NO_WAIT 0
#endif

bool start_old[3], start_new[3];  /* STARTs under way, dispatched before and after the restore */
bool has[3], claim[3], reported[3];
byte epoch_seen[3], epoch = 0, holder = 0, running = 0;
bool is_restored = false, is_reconciling = false;

active proctype server()
{
    byte s;
end:
    do
    :: s = 1 :: s = 2
    :: atomic { s > 0 && holder == 0 && !is_restored -> holder = s; start_old[s] = true }
    :: atomic { !is_restored && holder != 0 ->                       /* the copy knows nothing of the dispatch */
        is_restored = true; holder = 0; epoch = 1;
        if :: NO_WAIT -> skip :: !NO_WAIT -> is_reconciling = true fi }
    /* a site's inventory under the new epoch: it fences older commands, and tells what it has */
    :: atomic { s > 0 && is_reconciling && !reported[s] ->
        reported[s] = true;
        if :: NO_EPOCH -> skip :: !NO_EPOCH -> epoch_seen[s] = 1 fi;
        if :: has[s] || claim[s] -> holder = s :: else fi }
    :: atomic { is_reconciling && reported[1] && reported[2] -> is_reconciling = false }
    :: atomic { s > 0 && is_restored && !is_reconciling && holder == 0 -> holder = s; start_new[s] = true }
    od
}

active proctype sites()
{
    byte s;
end:
    do
    :: s = 1 :: s = 2
    :: atomic { s > 0 && start_old[s] && epoch_seen[s] == 0 && !has[s] && !claim[s] -> has[s] = true }
    :: atomic { s > 0 && start_new[s] && !has[s] && !claim[s] -> has[s] = true; epoch_seen[s] = 1 }
    :: atomic { s > 0 && has[s] && !claim[s] -> claim[s] = true; running++; assert(running <= 1) }
    od
}
