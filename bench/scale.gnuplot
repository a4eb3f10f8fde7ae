# SPDX-License-Identifier: MIT
# Four small plots over the number of VMs: columns 2 to 5 are hext's, 6 to 9 soft's.
set terminal svg size 860, 560 font "sans-serif,13" noenhanced
set output output
set logscale x 2
set xrange [0.9 : 70]
set yrange [0 : *]
set grid xtics ytics linecolor rgb grey linewidth 0.3
set xlabel "VMs on one hart" textcolor rgb grey
set key bottom right
set format y "%.0f"
set multiplot layout 2, 2
names = "'kept for each: KiB' 'start of one more: 1000 instructions' \
	'turn, all busy: instructions' 'turn, two busy and the rest asleep: instructions'"
do for [i = 1 : 4] {
	set title word(names, i) textcolor rgb grey
	unit = i == 2 ? 1000 : 1
	plot $data using 1:(column(1 + i) / unit) with linespoints pointtype 7 pointsize 0.6 \
		linewidth 2 linecolor rgb blue title "hext", \
		$data using 1:(column(5 + i) / unit) with linespoints pointtype 5 pointsize 0.6 \
		linewidth 2 linecolor rgb orange title "soft"
}
unset multiplot
