#!/bin/sh
# Stands before an sbatch script in a job's `run`: sets what Slurm would set, provides srun and
# `scontrol show hostnames`, opens the files that the script named, and becomes the script. Nothing
# of the user's is in this text; it comes in variables SLURM_LQ_... (docs/formats/sbatch.md).

lq_dir=${LQ_SCRATCH_DIR:-/tmp}/.slurm
mkdir -p "$lq_dir/bin" || exit 1

# ---- who and where

lq_index=${LQ_ARRAY_INDEX:-0}
SLURM_JOB_ID=$((SLURM_LQ_NUMBER + lq_index))
SLURM_JOBID=$SLURM_JOB_ID
export SLURM_JOB_ID SLURM_JOBID
if [ -n "${SLURM_LQ_ARRAY:-}" ]; then # FIRST:STEP:COUNT ...
    lq_left=$lq_index
    for lq_range in $SLURM_LQ_ARRAY; do
        lq_first=${lq_range%%:*} lq_range=${lq_range#*:}
        lq_step=${lq_range%%:*} lq_count=${lq_range#*:}
        if [ "$lq_left" -lt "$lq_count" ]; then
            SLURM_ARRAY_TASK_ID=$((lq_first + lq_step * lq_left))
            export SLURM_ARRAY_TASK_ID
            break
        fi
        lq_left=$((lq_left - lq_count))
    done
fi
lq_hosts='' lq_ifs=$IFS
IFS=,
for lq_address in ${LQ_NODE_ADDRS:-127.0.0.1:0}; do
    lq_hosts=$lq_hosts${lq_hosts:+,}${lq_address%:*}
done
IFS=$lq_ifs
SLURM_NODEID=${LQ_NODE_RANK:-0}
SLURM_LOCALID=0
SLURM_PROCID=$((SLURM_NODEID * SLURM_LQ_TASKS))
SLURM_GTIDS=$SLURM_PROCID
SLURM_NODELIST=$lq_hosts
SLURM_JOB_NODELIST=$lq_hosts
SLURMD_NODENAME=${LQ_NODE:-localhost}
SLURM_TASK_PID=$$
SLURM_JOB_PARTITION=${SLURM_JOB_PARTITION:-${LQ_SITE:-any}}
export SLURM_NODEID SLURM_LOCALID SLURM_PROCID SLURM_GTIDS SLURM_NODELIST SLURM_JOB_NODELIST
export SLURMD_NODENAME SLURM_TASK_PID SLURM_JOB_PARTITION
if [ "${LQ_ATTEMPT:-1}" -gt 1 ]; then
    SLURM_RESTART_COUNT=$((LQ_ATTEMPT - 1))
    export SLURM_RESTART_COUNT
fi
[ -z "${SLURM_LQ_PATH:-}" ] || PATH=$SLURM_LQ_PATH
PATH=$lq_dir/bin:$PATH
export PATH

# ---- commands that a script calls

cat >"$lq_dir/bin/scontrol" <<'SLURM_COMMAND_END'
#!/bin/sh
if [ "$1 $2" = "show hostnames" ] || [ "$1 $2" = "show hostname" ]; then
    printf '%s\n' "${3:-$SLURM_JOB_NODELIST}" | tr ',' '\n'
    exit 0
fi
echo "scontrol: error: inside a job of the pool only \`scontrol show hostnames\` is there" >&2
exit 1
SLURM_COMMAND_END

cat >"$lq_dir/bin/srun" <<'SLURM_COMMAND_END'
#!/bin/sh
# A step inside a job of the pool: starts this node's tasks and waits for them. The script runs on
# every node of a gang, so together they start all of the step's tasks.
tasks='' per_node='' nodes='' out='' err='' in='' dir=''
bad() {
    echo "srun: error: $1" >&2
    exit 255
}
set_option() {
    case $1 in
    ntasks) tasks=$2 ;;
    ntasks-per-node) per_node=$2 ;;
    nodes) nodes=${2%%-*} ;;
    output) out=$2 ;;
    error) err=$2 ;;
    input) in=$2 ;;
    chdir) dir=$2 ;;
    esac
}
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    -V | --version) echo "slurm 22.05.0"; exit 0 ;;
    -n | -N | -o | -e | -i | -D)
        [ $# -gt 1 ] || bad "option requires an argument -- '${1#-}'"
        case $1 in
        -n) set_option ntasks "$2" ;;
        -N) set_option nodes "$2" ;;
        -o) set_option output "$2" ;;
        -e) set_option error "$2" ;;
        -i) set_option input "$2" ;;
        -D) set_option chdir "$2" ;;
        esac
        shift 2 ;;
    -n*) set_option ntasks "${1#-n}"; shift ;;
    -N*) set_option nodes "${1#-N}"; shift ;;
    -o*) set_option output "${1#-o}"; shift ;;
    -e*) set_option error "${1#-e}"; shift ;;
    -i*) set_option input "${1#-i}"; shift ;;
    -D*) set_option chdir "${1#-D}"; shift ;;
    -c | -J | -p | -A | -t | -q | -C | -m | -G | -w | -x | -d | -T | -I | -W | -S | -B)
        [ $# -gt 1 ] || bad "option requires an argument -- '${1#-}'"
        shift 2 ;;
    --nodelist* | --exclude* | --relative* | --multi-prog | --pty* | --bcast* | --het-group* | -r*)
        bad "${1%%=*} is refused: a step runs on the nodes of its job, one command for all tasks" ;;
    --exclusive | --exact | --overlap | --unbuffered | --label | --verbose | --quiet | --kill-on-bad-exit | \
        --no-kill | --overcommit | --preserve-env | --oversubscribe | --contiguous | --disable-status | --wait-all-nodes)
        shift ;;
    --*=*)
        name=${1%%=*}
        set_option "${name#--}" "${1#*=}"
        shift ;;
    --*)
        [ $# -gt 1 ] || bad "option '$1' requires an argument"
        set_option "${1#--}" "$2"
        shift 2 ;;
    -?*) shift ;; # -l, -u, -K, -v, -Q, -O, -k, -s, -c4, ...
    *) break ;;
    esac
done
[ $# -gt 0 ] || bad "No command given to execute."
all_nodes=${SLURM_NNODES:-1}
[ -n "$nodes" ] || nodes=$all_nodes
[ -z "$per_node" ] || [ -n "$tasks" ] || tasks=$((per_node * nodes))
[ -n "$tasks" ] || tasks=${SLURM_NTASKS:-1}
for number in "$tasks" "$nodes"; do
    case $number in
    '' | *[!0-9]* | 0) bad "Invalid numeric value \"$number\"." ;;
    esac
done
[ "$nodes" -le "$all_nodes" ] || bad "the step asks for $nodes nodes, the job has $all_nodes"
[ "$tasks" -ge "$nodes" ] || nodes=$tasks
block=$(((tasks + nodes - 1) / nodes))
first=$((${SLURM_NODEID:-0} * block))
last=$((first + block))
[ "$last" -le "$tasks" ] || last=$tasks
[ "${SLURM_NODEID:-0}" -lt "$nodes" ] || exit 0
[ "$first" -lt "$last" ] || exit 0
[ -z "$dir" ] || cd "$dir" || exit 1
[ -z "$in" ] || [ "$in" = none ] || exec <"$in"
[ -z "$out" ] || [ "$out" = none ] || exec >"$out"
if [ -n "$err" ]; then
    exec 2>"$err"
elif [ -n "$out" ] && [ "$out" != none ]; then
    exec 2>&1
fi
export SLURM_NTASKS="$tasks" SLURM_NPROCS="$tasks" SLURM_STEP_NUM_TASKS="$tasks" SLURM_STEP_NUM_NODES="$nodes"
export SLURM_STEP_ID=0 SLURM_STEPID=0
if [ "$((last - first))" -eq 1 ]; then
    SLURM_PROCID=$first SLURM_LOCALID=0 exec "$@"
fi
pids='' task=$first code=0
exec 3<&0
while [ "$task" -lt "$last" ]; do
    if [ "$task" -eq "$first" ]; then
        SLURM_PROCID=$task SLURM_LOCALID=0 "$@" <&3 3<&- &
    else
        SLURM_PROCID=$task SLURM_LOCALID=$((task - first)) "$@" </dev/null 3<&- &
    fi
    pids="$pids $!"
    task=$((task + 1))
done
for signal in TERM INT HUP USR1 USR2; do
    trap "kill -$signal \$pids 2>/dev/null" "$signal"
done
for pid in $pids; do
    while :; do
        wait "$pid"
        ended=$?
        kill -0 "$pid" 2>/dev/null || break # else a signal of ours ended the wait, not the task
    done
    [ "$ended" -le "$code" ] || code=$ended
done
exit "$code"
SLURM_COMMAND_END
chmod 755 "$lq_dir/bin/scontrol" "$lq_dir/bin/srun"

# ---- files

# A file name pattern with its % sequences filled in: lq_out.
lq_expand() {
    lq_in=$1 lq_out=''
    case $lq_in in
    *\\*) # as Slurm has it: a backslash, and nothing is filled in
        lq_out=$(printf '%s' "$lq_in" | tr -d '\\')
        return ;;
    esac
    while :; do
        case $lq_in in
        *%?*) ;;
        *)
            lq_out=$lq_out$lq_in
            return ;;
        esac
        lq_out=$lq_out${lq_in%%"%"*} lq_in=${lq_in#*"%"} lq_width=''
        while :; do
            case $lq_in in
            [0-9]?*)
                lq_width=$lq_width${lq_in%"${lq_in#?}"}
                lq_in=${lq_in#?} ;;
            *) break ;;
            esac
        done
        lq_letter=${lq_in%"${lq_in#?}"} lq_in=${lq_in#?}
        case $lq_letter in
        A) lq_value=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID} ;;
        a) lq_value=${SLURM_ARRAY_TASK_ID:-4294967294} ;;
        J | j) lq_value=$SLURM_JOB_ID ;;
        N) lq_value=${SLURMD_NODENAME%%.*} ;;
        n) lq_value=$SLURM_NODEID ;;
        t) lq_value=$SLURM_PROCID ;;
        s) lq_value=batch ;;
        u) lq_value=$SLURM_JOB_USER ;;
        x) lq_value=$SLURM_JOB_NAME ;;
        *) lq_value=$lq_letter ;;
        esac
        case $lq_value in
        *[!0-9]*) ;;
        *)
            [ "${lq_width:-0}" -le 10 ] || lq_width=10
            while [ "${#lq_value}" -lt "${lq_width:-0}" ]; do lq_value=0$lq_value; done ;;
        esac
        lq_out=$lq_out$lq_value
    done
}

if [ -n "${SLURM_LQ_DIR:-}" ]; then
    cd "$SLURM_LQ_DIR" || exit 1
    [ "$SLURM_NNODES" -eq 1 ] || SLURM_LQ_APPEND=1 # the nodes of a gang share the file
    lq_expand "$SLURM_LQ_OUTPUT"
    lq_first=$lq_out
    lq_expand "${SLURM_LQ_ERROR:-$SLURM_LQ_OUTPUT}"
    if [ -n "${SLURM_LQ_APPEND:-}" ]; then exec 4>>"$lq_first"; else exec 4>"$lq_first"; fi
    if [ "$lq_out" = "$lq_first" ]; then
        exec 5>&4
    elif [ -n "${SLURM_LQ_APPEND:-}" ]; then
        exec 5>>"$lq_out"
    else
        exec 5>"$lq_out"
    fi
    exec >&4 2>&5 4>&- 5>&-
fi
if [ -n "${SLURM_LQ_INPUT:-}" ]; then
    lq_expand "$SLURM_LQ_INPUT"
    exec <"$lq_out"
else
    exec </dev/null
fi

# ---- the script

lq_at=1
while [ "$lq_at" -le "${SLURM_LQ_ARGC:-0}" ]; do
    eval "set -- \"\$@\" \"\$SLURM_LQ_ARG_$lq_at\""
    unset "SLURM_LQ_ARG_$lq_at"
    lq_at=$((lq_at + 1))
done
unset SLURM_LQ_NUMBER SLURM_LQ_ARRAY SLURM_LQ_TASKS SLURM_LQ_PATH SLURM_LQ_DIR SLURM_LQ_APPEND
unset SLURM_LQ_OUTPUT SLURM_LQ_ERROR SLURM_LQ_INPUT SLURM_LQ_ARGC
lq_script=$lq_dir/script
