/*
 * grep-json: what was found as objects of JSON, one a line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GREP_JSON_H
#define GREP_JSON_H

#include "grep-print.h"

/*
 * {"path":..., "line":N, "offset":N, "count":N, "text":..., "matches":[{"start":N,"end":N}, ...]}
 *
 * What is not UTF-8 is "path_bytes" or "bytes" instead, in base64.
 */
void json_found(const struct options *options, struct matcher *matcher, const struct found *found);

#endif
