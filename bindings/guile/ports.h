/*
 * ports: ports over mapped bytevectors.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PORTS_H
#define PORTS_H

#include <libguile.h>

void set_up_ports(void);
SCM open_mapped_port(SCM bytevector, SCM mode);

#endif
