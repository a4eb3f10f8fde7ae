# SPDX-License-Identifier: MIT
# Bars of the ratios to native, two a row.
set terminal svg size 860, 90 + 26 * rows font "sans-serif,13" noenhanced
set output output
set logscale x 2
set xrange [0.7 : *]
set yrange [rows - 0.4 : -0.6]
set lmargin 26
set rmargin 8
set ytics scale 0
set key outside top center horizontal samplen 1
set xlabel "instructions under Pilae : instructions natively (OpenSBI)" textcolor rgb grey
set arrow from 1, graph 0 to 1, graph 1 nohead linecolor rgb grey linewidth 1.5
set style fill solid 0.9 noborder
plot $data using (1):0:(1):2:($0 - 0.38):($0 - 0.02):ytic(1) with boxxyerror \
	linecolor rgb blue title "hext", \
	$data using (1):0:(1):3:($0 + 0.02):($0 + 0.38) with boxxyerror \
	linecolor rgb orange title "soft", \
	$data using (column(2) > 1 ? column(2) : 1):($0 - 0.2):(sprintf("%.2f", column(2))) with labels \
	left offset 0.4,0 font ",10" textcolor rgb grey notitle, \
	$data using (column(3) > 1 ? column(3) : 1):($0 + 0.2):(sprintf("%.2f", column(3))) with labels \
	left offset 0.4,0 font ",10" textcolor rgb grey notitle
