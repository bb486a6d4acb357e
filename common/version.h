/*
 * version - which raeh this is.
 */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define RAEH_VERSION "0.1.0"

#endif
