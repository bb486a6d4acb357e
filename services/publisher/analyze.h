/*
 * analyze - `raeh analyze`: the insights of a recording, through the session code.
 *
 * Prints t,type,value,confidence,sqi_class as CSV (or one JSON array with --json);
 * t in seconds from the file's first sample. Exit status 0, 1 (the recording cannot
 * be used), 2 (usage).
 */
#ifndef PUBLISHER_ANALYZE_H
#define PUBLISHER_ANALYZE_H

/* argv[0] is the program's or the command's name. */
int analyze_main(int argc, char **argv);

#endif
