#!/bin/sh
# Transcribe the two sample recordings into ./demo and print their text. The argument is the program.
set -eu
lingting=$1
samples=$("$lingting" models path sample-recordings)
echo "==> Transcribing a Mandarin lecture (70 s) and an English reading" >&2
"$lingting" transcribe "$samples/vad_example.wav" "$samples/two_cities.wav" \
    --words --format txt,srt,vtt,json --output demo
for name in vad_example two_cities; do
    printf '\n== %s\n\n' "$name.wav"
    cat "demo/$name.txt"
done
printf '\nText, subtitles (srt, vtt) and JSON are in ./demo. Now your own recording:\n'
printf '    %s transcribe talk.mp3\n' "$lingting"
