// line.c: libedit's callback interface, so that the loop goes on while a line is typed.
//
// libedit keeps its state in globals of its own and calls back without an argument: the
// finished line has to pass through a static. There is one terminal, and one REPL on it.

#include "line.h"

#include <editline/readline.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>

static struct {
    char *text; // of the finished line, malloc'd; NULL at the end of the input
    bool done;
} line;

static void on_line(char *text)
{
    line.text = text;
    line.done = true;
    rl_callback_handler_remove();
}

// line_begin(prompt): shows the prompt.
static int l_begin(lua_State *L)
{
    line.done = false;
    rl_callback_handler_install(luaL_checkstring(L, 1), on_line);
    return 0;
}

// line_char(): takes what was typed, when standard input is readable -> false while the
// line is not finished; then the line, or nil at the end of the input. A line goes into
// the history.
static int l_char(lua_State *L)
{
    rl_callback_read_char();
    if (!line.done) {
        lua_pushboolean(L, false);
        return 1;
    }
    if (line.text == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (line.text[0] != '\0') {
        add_history(line.text);
    }
    lua_pushstring(L, line.text);
    free(line.text);
    line.text = NULL;
    return 1;
}

// line_end(): gives the terminal back.
static int l_end(lua_State *L)
{
    (void)L;
    rl_callback_handler_remove();
    return 0;
}

static const luaL_Reg functions[] = {
    {"line_begin", l_begin},
    {"line_char", l_char},
    {"line_end", l_end},
    {NULL, NULL},
};

void line_register(lua_State *L)
{
    luaL_setfuncs(L, functions, 0);
}
