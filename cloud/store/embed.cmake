# sluice_embed_sql(<folder> <file.sql> …): makes "<folder>/schema.inc", one `{number, "name", "text"},` for each file in
# order, to be included within a list of store::Migration. The number is the file's first four digits.
function(sluice_embed_sql folder)
  set(out "")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    file(READ ${file} text)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "^0*([0-9]+)_.*" "\\1" number ${name})
    string(APPEND out "{${number}, \"${name}\", R\"__sql__(${text})__sql__\"},\n")
  endforeach()
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/schema/${folder}/schema.inc CONTENT "${out}")
endfunction()
