#include "port/entropy.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/random.h"

enum err entropy_fill(void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_IO;
        at += got;
        len -= (size_t)got;
    }
    return ERR_OK;
}

enum err entropy_seed(struct random *random)
{
    uint64_t state[4];
    enum err code = entropy_fill(state, sizeof(state));
    if (code != ERR_OK)
        return code;
    /* init keeps the generator's own rules for its state; the rest widens the seed to 256 bits. */
    random_init(random, state[0]);
    for (int i = 0; i < 4; i++)
        random->state[i] ^= state[i];
    if ((random->state[0] | random->state[1] | random->state[2] | random->state[3]) == 0)
        random_init(random, 1);
    return ERR_OK;
}
