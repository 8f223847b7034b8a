# Writes OUT, a C file that holds each of FILES (paths under ROOT) as an array of bytes,
# and the table that host/library.c looks modules up in.
#
# Module names: lagoon/net/conn.lua is "lagoon.net.conn", lagoon/init.lua is "lagoon".
set(arrays "")
set(rows "")
set(n 0)
foreach(file IN LISTS FILES)
    file(READ ${ROOT}/${file} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "/init\\.lua$|\\.lua$" "" module ${file})
    string(REPLACE "/" "." module ${module})
    string(APPEND arrays "static const unsigned char file${n}[] = {${bytes}0};\n")
    string(APPEND rows "    {\"${module}\", \"${file}\", (const char *)file${n}, sizeof(file${n}) - 1},\n")
    math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT} "#include \"library.h\"\n\n${arrays}
const LibraryFile library_files[] = {\n${rows}    {NULL, NULL, NULL, 0},\n};\n")
