/* Insights as CSV. */
#include "services/edge/insights_csv.h"

#include <criterion/criterion.h>

Test(insights_csv, has_the_fields_of_the_json_and_quotes_what_must_be)
{
	Publisher__Insight hr = PUBLISHER__INSIGHT__INIT, spo2;
	Publisher__Insight *items[] = { &hr, &spo2 };
	Publisher__InsightList list = PUBLISHER__INSIGHT_LIST__INIT;
	struct buf out = { 0 };

	hr.type = (char *)"hr";
	hr.value = 72.4;
	hr.unit = (char *)"bpm";
	hr.ts = 1760000000000;
	hr.session_id = (char *)"s";
	hr.device_id = (char *)"watch";
	hr.confidence = 0.871;
	hr.sqi_class = (char *)"excellent";
	hr.id = (char *)"i";
	hr.t = -5;
	spo2 = hr;
	spo2.type = (char *)"spo2";
	spo2.value = 98;
	spo2.device_id = (char *)"a \"b\", c";
	spo2.has_uncalibrated = spo2.uncalibrated = 1;
	list.items = items;
	list.n_items = 2;
	insights_csv_header(&out);
	insights_csv_rows(&list, &out);
	buf_append(&out, "", 1);
	cr_assert_str_eq((const char *)out.data,
	                 "type,value,unit,ts,session_id,device_id,confidence,sqi_class,id,t,"
	                 "uncalibrated\n"
	                 "hr,72.4,bpm,1760000000000,s,watch,0.871,excellent,i,-5,\n"
	                 "spo2,98,bpm,1760000000000,s,\"a \"\"b\"\", c\",0.871,excellent,i,-5,"
	                 "true\n");
	buf_free(&out);
}
