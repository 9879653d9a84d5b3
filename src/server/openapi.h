/* The API's description (docs/api/openapi.json) as bytes in the program. */
#ifndef LQ_SERVER_OPENAPI_H
#define LQ_SERVER_OPENAPI_H

#include <stddef.h>

extern const char OPENAPI_JSON[];
extern const size_t OPENAPI_JSON_LEN;

#endif
