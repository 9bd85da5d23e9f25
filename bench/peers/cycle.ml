(* Peer: OCaml.  Unix.map_file and Bigarray.Array1.sub; OCaml's own pace.  (It can map
   privately or writable only; each unmapping is an msync too.)

   Usage: cycle BYTES CYCLES FILE; see compare.c for the protocol.

   SPDX-License-Identifier: MIT *)
open Bigarray

let sum = ref 0

let[@inline never] cycle fd size =
  let all = array1_of_genarray (Unix.map_file fd char c_layout false [| size |]) in
  let slice = Array1.sub all (size / 2) 1 in
  sum := !sum + Char.code (Array1.get slice 0)

let mapped path =
  let maps = open_in "/proc/self/maps" and n = ref 0 and length = String.length path in
  (try
     while true do
       let line = input_line maps in
       let from = String.length line - length in
       if from >= 0 && String.sub line from length = path then incr n
     done
   with End_of_file -> ());
  close_in maps;
  !n

let () =
  let size = int_of_string Sys.argv.(1) and n = int_of_string Sys.argv.(2) in
  let path = Sys.argv.(3) in
  let fd = Unix.openfile path [ Unix.O_RDONLY ] 0 in
  try
    while true do
      ignore (input_char stdin);
      let start = Unix.gettimeofday () in
      for _ = 1 to n do cycle fd size done;
      let looped = Unix.gettimeofday () in
      Gc.full_major ();
      let ended = Unix.gettimeofday () in
      Printf.printf "%.0f %.0f %d\n%!" ((ended -. start) *. 1e9) ((looped -. start) *. 1e9)
        (mapped path)
    done
  with End_of_file -> ()
