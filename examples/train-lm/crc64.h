/* CRC-64/XZ (ECMA-182 polynomial, reflected): what guards checkpoints and names a corpus. */
#ifndef LM_CRC64_H
#define LM_CRC64_H

#include <stddef.h>
#include <stdint.h>

struct lm_crc64 {
    uint64_t state;
    uint64_t table[8][256]; /* slicing by eight: checkpoints are megabytes */
};

void lm_crc64_init(struct lm_crc64 *crc);
void lm_crc64_add(struct lm_crc64 *crc, const void *bytes, size_t len);
uint64_t lm_crc64_value(const struct lm_crc64 *crc);

#endif
