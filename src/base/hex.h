/* Hexadecimal and base64url text of bytes. Decoders are strict: exactly one text for given bytes.
 */
#ifndef LQ_BASE_HEX_H
#define LQ_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* Writes 2 * bytes.len lower-case digits and a NUL. */
void hex_encode(struct slice bytes, char *out);
/* Exactly 2 * len digits of either case into `out`; ERR_INVALID otherwise (out is then undefined).
 */
enum err hex_decode(struct slice text, uint8_t *out, size_t len) LQ_CHECKED;

/* Characters, without the NUL, that `len` bytes become in base64url (RFC 4648 section 5) unpadded.
 */
size_t base64url_encoded_len(size_t len);
/* Writes that many characters and a NUL. */
void base64url_encode(struct slice bytes, char *out);
/* Unpadded text only, spare bits zero. `out` holds `cap` bytes. ERR_INVALID, ERR_LIMIT (does not
 * fit). */
enum err base64url_decode(struct slice text, uint8_t *out, size_t cap, size_t *out_len) LQ_CHECKED;
/* Standard alphabet with padding (RFC 4648 section 4), as in HTTP Basic and PEM; same errors. */
enum err base64_decode(struct slice text, uint8_t *out, size_t cap, size_t *out_len) LQ_CHECKED;

#endif
